package doctor

// A hostCheck is about the host or its CA.
type hostCheck struct {
	id       string
	severity Severity
	look     func(*Facts) []hit
}

// A serverCheck is about one server.
type serverCheck struct {
	id       string
	severity Severity
	mends    mender
	look     func(*Facts, *Server) []hit
}

// A mender says who mends what a check finds, of a server that is a [[target]].
type mender int

const (
	byHand mender = iota
	// byKeeper: certmgr does, from what it has.
	byKeeper
	// byOwner: certmgr does from what it has, which is nothing where a certificate is
	// bought and was not dropped into the target's folder.
	byOwner
	// byIssuer: certmgr does with a new certificate, so not where one is bought.
	byIssuer
)

func (m mender) kept(s *Server) bool {
	return s.Kept && (m == byKeeper || m == byOwner || m == byIssuer && s.Issuer != "files")
}

func (m mender) bought(s *Server) bool { return m == byOwner && s.Issuer == "files" }

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
	{"certificate.ours", OK, byHand, certificateOurs},
	{"certificate.public", OK, byHand, certificatePublic},
	{"certificate.alone", Note, byHand, certificateAlone},
	{"certificate.other", Warning, byOwner, certificateOther},
	{"certificate.missing", Error, byOwner, certificateMissing},
	{"certificate.broken", Error, byOwner, certificateBroken},
	{"pair.ok", OK, byHand, pairOK},
	{"pair.mismatch", Error, byOwner, pairMismatch},
	{"pair.no-key", Error, byOwner, pairNoKey},
	{"ca-file.ok", OK, byHand, caFileOK},
	{"ca-file.other", Warning, byOwner, caFileOther},
	{"ca-file.missing", Error, byOwner, caFileMissing},
	{"ca-file.unset", Note, byHand, caFileUnset},

	{"settings.unread", Note, byHand, settingsUnread},
	{"settings.elsewhere", Warning, byHand, settingsElsewhere},
	{"file.denied", Note, byHand, fileDenied},
	{"tls.off", Error, byHand, tlsOff},
	{"tls.daemon-off", Warning, byHand, tlsDaemonOff},
	{"tls.client-off", Warning, byHand, tlsClientOff},

	{"key.broken", Error, byOwner, keyBroken},
	{"key.encrypted", Error, byOwner, keyEncrypted},
	{"key.small", Error, byIssuer, keySmall},
	{"signature.md5", Error, byIssuer, signatureMD5},
	{"signature.sha1", Warning, byIssuer, signatureSHA1},
	{"chain.incomplete", Warning, byIssuer, chainIncomplete},
	{"certificate.boot", Warning, byOwner, certificateBoot},
	{"certificate.self", Warning, byHand, certificateSelf},
	{"certificate.expired", Error, byIssuer, certificateExpired},
	{"certificate.ending", Warning, byIssuer, certificateEnding},
	{"certificate.not-yet", Error, byIssuer, certificateNotYet},
	{"certificate.long", Note, byHand, certificateLong},
	{"certificate.no-san", Warning, byIssuer, certificateNoSAN},
	{"certificate.name", Warning, byIssuer, certificateName},
	{"certificate.not-server", Error, byIssuer, certificateNotServer},
	{"certificate.not-client", Warning, byIssuer, certificateNotClient},
	{"certificate.revoked", Error, byIssuer, certificateRevoked},

	{"crl.ended", Error, byKeeper, crlEnded},
	{"crl.ending", Warning, byKeeper, crlEnding},
	{"crl.missing", Warning, byKeeper, crlMissing},
	{"crl.unset", Note, byHand, crlUnset},
	{"crl.unknown", Note, byHand, crlUnknown},
	{"dh.missing", Warning, byKeeper, dhMissing},
	{"dh.broken", Warning, byKeeper, dhBroken},
	{"dh.small", Warning, byKeeper, dhSmall},
	{"dh.unsafe", Warning, byKeeper, dhUnsafe},

	{"mode.key", Error, byKeeper, modeKey},
	{"mode.writable", Error, byKeeper, modeWritable},
	{"mode.owner", Error, byKeeper, modeOwner},
	{"mode.folder", Error, byHand, modeFolder},
	{"links.folder", Error, byKeeper, linksFolder},
	{"links.stale", Warning, byKeeper, linksStale},
	{"links.missing", Warning, byKeeper, linksMissing},
	{"clock.future", Warning, byHand, clockFuture},

	{"postfix.both", Warning, byHand, postfixBoth},
	{"postfix.capath-chroot", Warning, byHand, postfixCApathChroot},
	{"postfix.verify-without-ca", Error, byHand, postfixVerifyWithoutCA},
	{"postfix.ask-without-ca", Warning, byHand, postfixAskWithoutCA},
	{"postfix.require", Warning, byHand, postfixRequire},
	{"postfix.dane", Warning, byHand, postfixDANE},
	{"postfix.no-client-certificate", Note, byHand, postfixNoClientCertificate},
	{"postfix.silent", Note, byHand, postfixSilent},
	{"postfix.sni-open", Error, byKeeper, postfixSNIOpen},
	{"postfix.unused", Warning, byHand, postfixUnused},
	{"sendmail.relative", Error, byHand, sendmailRelative},
	{"sendmail.not-asked", Note, byHand, sendmailNotAsked},
	{"sendmail.no-client-certificate", Warning, byHand, sendmailNoClientCertificate},
	{"sendmail.mc-newer", Warning, byHand, sendmailMCNewer},
	{"sendmail.silent", Note, byHand, sendmailSilent},
	{"dovecot.old-version", Warning, byHand, dovecotOldVersion},
	{"dovecot.plaintext", Warning, byHand, dovecotPlaintext},
	{"exim.self-made", Warning, byHand, eximSelfMade},
	{"xmail.no-anchors", Error, byHand, xmailNoAnchors},
	{"xmail.self-signed", Warning, byHand, xmailSelfSigned},

	{"reload.older", Warning, byHand, reloadOlder},
	{"live.silent", Warning, byHand, liveSilent},
	{"live.no-tls", Error, byHand, liveNoTLS},
	{"live.other", Error, byKeeper, liveOther},
	{"live.name", Warning, byIssuer, liveName},
	{"live.old-version", Warning, byHand, liveOldVersion},
	{"live.fail", Warning, byHand, liveFail},
	{"live.ok", OK, byHand, liveOK},
}
