// Package milter is the MTA's side of mailseal: it listens where Postfix or
// sendmail connect, turns what they tell about one mail into a
// message.Message, asks a Handler what to do with it and tells the MTA.
package milter
