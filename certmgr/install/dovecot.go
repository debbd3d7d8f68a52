package install

// dovecot has the files of ssl_key, ssl_cert, ssl_ca and ssl_dh, which from 2.4 on
// are called ssl_server_key_file, ssl_server_cert_file, ssl_server_ca_file and
// ssl_server_dh_file, under the names of Debian's. It reads them at a reload.
//
// The file of CAs is for clients' certificates, and has the CRL behind them: with
// ssl_require_crl, the default, a client is refused where a list is missing.
// Below another CA the list of that one is wanted too, and it is not the target's
// to have: ssl_require_crl = no (ssl_server_require_crl) then, and with
// bundle = "ca+system".
var dovecot = server{
	dir: map[string]string{"": "/etc/dovecot/private", "freebsd": "/usr/local/etc/dovecot/private"},
	files: func(public bool) map[Role]File {
		ca := usual(CA, "ca.pem")
		ca.Public, ca.List = public, true
		return map[Role]File{
			Key:         usual(Key, "dovecot.key"),
			Certificate: usual(Certificate, "dovecot.pem"),
			CA:          ca,
			DH:          usual(DH, "dh.pem"),
		}
	},
	dh: true,
	arrange: func(l *Layout, _ string, _ Choices) error {
		l.Reload = "test ! -e /var/run/dovecot/master.pid || doveadm reload"
		l.Probes = []string{"imap://127.0.0.1:143"}
		return nil
	},
}
