// Package milter is the MTA's side of mailseal. It listens where Postfix and
// sendmail connect, turns what they tell about one mail into a
// message.Message, asks a Handler what to do with it, and tells the MTA.
//
// The story of a connection: the MTA connects when an SMTP client does and
// stays as long as the client. It negotiates (version 2 with the flags of
// version 6, which both MTAs honour), names the client, and then gives any
// number of mails, each from MAIL to the end of the message or to an ABORT.
// Nothing of one mail is left when the next begins.
//
// Negotiation, dispatch and the writing of answers are those of
// github.com/emersion/go-milter. Round it stands what it lacks:
//
//   - conn reads whole packets, bounded and with deadlines, and lets the
//     library see only those that must be answered. So no answer can be sent
//     that the MTA does not wait for and would take for the answer to another
//     command, and nothing of a mail piles up in the library.
//   - session keeps what the library drops: the arguments of MAIL and RCPT, the
//     macros of each stage, the header as it was.
//   - final is an answer that does not make the library throw the session away.
//   - plan checks every edit of a verdict before the first byte of it is sent:
//     between the first edit and the answer nothing can fail but I/O.
//   - while the Handler works the MTA is told so every few seconds.
//
// The protocol: draft-adams-milter-protocol, milter-protocol.txt of
// Sendmail-PMilter, and the sources of both MTAs. Header values travel with
// all blanks after the colon (SMFIP_HDR_LEADSPC) and with LF for line ends;
// bodies with CRLF.
package milter
