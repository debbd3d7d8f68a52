package milter

import (
	"strings"

	milterlib "github.com/emersion/go-milter"

	"mailseal/internal/message"
)

// returnHeaders writes SMFIR_CHGFROM, the one way to tell an MTA what notices
// are to quote: the sender as it came, and RET=HDRS (RFC 3461 section 4.3). For
// the null sender, to whom no notice goes, it writes nothing.
//
// Postfix takes RET and ENVID and leaves what else came with MAIL as it is; a
// further parameter is a warning in its log (cleanup_chg_from). Before 3.3 it
// takes none, with a warning likewise. sendmail forgets
// all parameters of MAIL, but the size, when there are new ones
// (reset_mail_esmtp_args), so it is told again those that it takes. It does not
// take AUTH twice.
func returnHeaders(e message.Envelope, sendmail bool) []byte {
	if e.Sender == "" {
		return nil
	}
	args := []string{"RET=HDRS"}
	for _, a := range e.SenderArgs {
		key, _, _ := strings.Cut(a, "=")
		switch key = strings.ToUpper(key); {
		case key == "ENVID", sendmail && (key == "BODY" || key == "SMTPUTF8" || key == "BY"):
			args = append(args, a)
		}
	}
	return appendPacket(nil, byte(milterlib.ActChangeFrom), "<", e.Sender, ">\x00", strings.Join(args, " "), "\x00")
}
