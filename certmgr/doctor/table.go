package doctor

// A hostCheck is about the host or its CA.
type hostCheck struct {
	id       string
	severity Severity
	look     func(*Facts) []hit
}

// A serverCheck is about one server. kept: certmgr mends it where it keeps the
// server's files, so nobody has to.
type serverCheck struct {
	id       string
	severity Severity
	kept     bool
	look     func(*Facts, *Server) []hit
}

// To add a check: a function from facts to hits, nil where all is right; a row
// here, where it stands in the order of what is said; its words in both files of
// catalogue; its case in cases_test.go. Tests miss the last two.

var hostChecks = []hostCheck{
	{"ca.ok", OK, caOK},
	{"ca.none", Warning, caNone},
	{"ca.denied", Note, caDenied},
	{"ca.broken", Error, caBroken},
	{"ca.expired", Error, caExpired},
	{"ca.ending", Warning, caEnding},
	{"ca.future", Error, caFuture},
	{"ca.key-open", Error, caKeyOpen},
	{"ca.silent", Warning, caSilent},
	{"ca.crl-none", Note, caCRLNone},
	{"ca.crl-ended", Error, caCRLEnded},
	{"ca.crl-ending", Warning, caCRLEnding},
}

var serverChecks = []serverCheck{
	// The four questions; the first is the CA's.
	{"certificate.ours", OK, false, certificateOurs},
	{"certificate.public", OK, false, certificatePublic},
	{"certificate.alone", Note, false, certificateAlone},
	{"certificate.other", Warning, true, certificateOther},
	{"certificate.missing", Error, true, certificateMissing},
	{"certificate.broken", Error, true, certificateBroken},
	{"pair.ok", OK, false, pairOK},
	{"pair.mismatch", Error, true, pairMismatch},
	{"pair.no-key", Error, true, pairNoKey},
	{"ca-file.ok", OK, false, caFileOK},
	{"ca-file.other", Warning, true, caFileOther},
	{"ca-file.missing", Error, true, caFileMissing},
	{"ca-file.unset", Note, false, caFileUnset},

	{"settings.unread", Note, false, settingsUnread},
	{"settings.elsewhere", Warning, false, settingsElsewhere},
	{"file.denied", Note, false, fileDenied},
	{"tls.off", Error, false, tlsOff},
	{"tls.daemon-off", Warning, false, tlsDaemonOff},
	{"tls.client-off", Warning, false, tlsClientOff},

	{"key.broken", Error, true, keyBroken},
	{"key.encrypted", Error, true, keyEncrypted},
	{"key.small", Error, true, keySmall},
	{"signature.md5", Error, true, signatureMD5},
	{"signature.sha1", Warning, true, signatureSHA1},
	{"chain.incomplete", Warning, true, chainIncomplete},
	{"certificate.boot", Warning, true, certificateBoot},
	{"certificate.self", Warning, false, certificateSelf},
	{"certificate.expired", Error, true, certificateExpired},
	{"certificate.ending", Warning, true, certificateEnding},
	{"certificate.not-yet", Error, true, certificateNotYet},
	{"certificate.long", Note, false, certificateLong},
	{"certificate.no-san", Warning, true, certificateNoSAN},
	{"certificate.name", Warning, true, certificateName},
	{"certificate.not-server", Error, true, certificateNotServer},
	{"certificate.not-client", Warning, true, certificateNotClient},
	{"certificate.revoked", Error, true, certificateRevoked},

	{"crl.ended", Error, true, crlEnded},
	{"crl.ending", Warning, true, crlEnding},
	{"crl.missing", Warning, true, crlMissing},
	{"crl.unset", Note, false, crlUnset},
	{"crl.unknown", Note, false, crlUnknown},
	{"dh.missing", Warning, true, dhMissing},
	{"dh.broken", Warning, true, dhBroken},
	{"dh.small", Warning, true, dhSmall},
	{"dh.unsafe", Warning, true, dhUnsafe},

	{"mode.key", Error, true, modeKey},
	{"mode.writable", Error, true, modeWritable},
	{"mode.owner", Error, true, modeOwner},
	{"mode.folder", Error, false, modeFolder},
	{"links.folder", Error, true, linksFolder},
	{"links.stale", Warning, true, linksStale},
	{"links.missing", Warning, true, linksMissing},
	{"clock.future", Warning, false, clockFuture},

	{"postfix.both", Warning, false, postfixBoth},
	{"postfix.capath-chroot", Warning, false, postfixCApathChroot},
	{"postfix.verify-without-ca", Error, false, postfixVerifyWithoutCA},
	{"postfix.ask-without-ca", Warning, false, postfixAskWithoutCA},
	{"postfix.require", Warning, false, postfixRequire},
	{"postfix.dane", Warning, false, postfixDANE},
	{"postfix.no-client-certificate", Note, false, postfixNoClientCertificate},
	{"postfix.silent", Note, false, postfixSilent},
	{"postfix.sni-open", Error, true, postfixSNIOpen},
	{"postfix.unused", Warning, false, postfixUnused},
	{"sendmail.relative", Error, false, sendmailRelative},
	{"sendmail.not-asked", Note, false, sendmailNotAsked},
	{"sendmail.no-client-certificate", Warning, false, sendmailNoClientCertificate},
	{"sendmail.mc-newer", Warning, false, sendmailMCNewer},
	{"sendmail.silent", Note, false, sendmailSilent},
	{"dovecot.old-version", Warning, false, dovecotOldVersion},
	{"dovecot.plaintext", Warning, false, dovecotPlaintext},
	{"exim.self-made", Warning, false, eximSelfMade},
	{"xmail.no-anchors", Error, false, xmailNoAnchors},
	{"xmail.self-signed", Warning, false, xmailSelfSigned},

	{"reload.older", Warning, false, reloadOlder},
	{"live.silent", Warning, false, liveSilent},
	{"live.no-tls", Error, false, liveNoTLS},
	{"live.other", Error, true, liveOther},
	{"live.name", Warning, true, liveName},
	{"live.old-version", Warning, false, liveOldVersion},
	{"live.fail", Warning, false, liveFail},
	{"live.ok", OK, false, liveOK},
}
