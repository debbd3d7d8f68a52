package milter

import milterlib "github.com/emersion/go-milter"

// What we may ask for at the end of a message. The list of macros is an action
// too: without the flag the library does not send it. An MTA that knows lists
// of macros and recipients with parameters knows the sender with parameters:
// sendmail 8.14 and Postfix 2.6 brought them all.
const actions = milterlib.OptAddHeader | milterlib.OptChangeHeader |
	milterlib.OptChangeBody | milterlib.OptChangeFrom |
	milterlib.OptAddRcpt | milterlib.OptAddRcptWithArgs | milterlib.OptRemoveRcpt |
	milterlib.OptQuarantine | milterlib.OptSetSymList

// How we want to be told. Leading blanks of values, or the header could not be
// told byte for byte; no answer to what we never refuse, which saves a round
// trip for each.
//
// MAIL is answered although we never refuse it: sendmail tells the milter of
// an aborted mail only after it has seen an answer to MAIL (milter_send_command
// sets SMFS_INMSG there, milter_abort_filter asks for it). RCPT is answered, as
// it may be one too many. Recipients that the MTA itself refuses are not asked
// for (SMFIP_RCPT_REJ).
const protocol = milterlib.OptHeaderLeadingSpace | unanswered

const unanswered = milterlib.OptNoConnReply | milterlib.OptNoHeloReply |
	milterlib.OptNoHeaderReply | milterlib.OptNoEOHReply | milterlib.OptNoBodyReply

// answered reports whether the MTA waits for an answer to the command. The
// library gets to see these and no others: it answers all that it sees, and an
// answer too many would be taken for the answer to the end of the message,
// which then passes without its edits.
func answered(code byte) bool {
	switch code {
	case cmdOptNeg, cmdMail, cmdRcpt, cmdData, cmdEOM:
		return true
	}
	return false
}
