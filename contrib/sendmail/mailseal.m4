divert(-1)dnl
dnl mailseal as a milter of sendmail (8.13 or later). In sendmail.mc, behind
dnl OSTYPE, DOMAIN and FEATUREs and before MAILER:
dnl
dnl     include(`/etc/mail/m4/mailseal.m4')dnl
dnl
dnl and on FreeBSD, whose sockets are elsewhere:
dnl
dnl     define(`MAILSEAL_SOCKET', `local:/var/run/mailseal/milter.sock')dnl
dnl     include(`/usr/local/share/examples/mailseal/sendmail/mailseal.m4')dnl
dnl
dnl Then make sendmail.cf anew and restart sendmail: doc/sendmail.md.
dnl
dnl submit.mc needs nothing of it. The submission program, which cron and root
dnl use, hands its mail over SMTP to the daemon on this host, and the daemon asks
dnl its milters about it.
dnl
dnl S=  the socket. sendmail wants every folder on its way to be safe: writable
dnl     by its owner alone, and nothing below /tmp.
dnl F=T when mailseal is away, mail waits. Without F= sendmail takes mail
dnl     unasked: it would leave unsigned and come in unchecked, and a milter
dnl     that dies in the middle of its edits would leave a mail half edited,
dnl     which sendmail then delivers.
dnl T=  C, connecting: 30 s. S, sending to it: 60 s. R, waiting for an answer: 5
dnl     minutes. sendmail's own 10 s are not enough for a large mail on a busy
dnl     disk. E, from the end of a mail to the last answer: 10 minutes, longer
dnl     than work_timeout in mailseal.toml (4m).
dnl
dnl confMILTER_MACROS_* are not needed: mailseal asks for the macros it wants.
dnl
dnl Beside OpenDKIM the order depends on the way that the mail goes, and mailseal
dnl stands before OpenDKIM too (before_socket in mailseal.toml). Then define
dnl
dnl     define(`MAILSEAL_BEFORE_SOCKET', `local:/run/mailseal/before.sock')dnl
dnl
dnl as well and give each DAEMON_OPTIONS its list, which goes before the order of
dnl the lines in sendmail.mc: for mail that comes in
dnl InputMailFilters=mailseal-before;opendkim;mailseal and for mail that leaves
dnl InputMailFilters=mailseal-before;mailseal;opendkim
ifdef(`MAILSEAL_SOCKET', `', `define(`MAILSEAL_SOCKET', `local:/run/mailseal/milter.sock')')
divert(0)dnl
INPUT_MAIL_FILTER(`mailseal', `S='MAILSEAL_SOCKET`, F=T, T=C:30s;S:60s;R:5m;E:10m')dnl
ifdef(`MAILSEAL_BEFORE_SOCKET',
`MAIL_FILTER(`mailseal-before', `S='MAILSEAL_BEFORE_SOCKET`, F=T, T=C:30s;S:60s;R:5m;E:10m')')dnl
divert(-1)dnl
dnl sendmail rewrites the header fields of body parts at delivery, also within
dnl multipart/signed, if they are longer than this allows or are no proper
dnl fields; that breaks the signature of a few oddly made mails. 0/0: it does not.
dnl
dnl Notices of what could not be delivered quote header fields alone
dnl (nobodyreturn). mailseal opens encrypted mail for those whom it is for;
dnl whoever has captured one can send it again, so that it bounces, and would get
dnl the content with the notice. What confPRIVACY_FLAGS is before this line stays.
divert(0)dnl
define(`confMAX_MIME_HEADER_LENGTH', `0/0')dnl
define(`confPRIVACY_FLAGS', ifdef(`confPRIVACY_FLAGS', `defn(`confPRIVACY_FLAGS')', ``authwarnings'')`,nobodyreturn')dnl
