package install

import "errors"

// postfix has the file of smtpd_tls_chain_files (and smtp_tls_chain_files), which
// it opens as root, and that of smtpd_tls_CAfile, which it reads before it enters
// its chroot; a folder of hash links would have to be within. It reads no list of
// what is revoked, and parameters for Diffie-Hellman are best left to its library,
// unless somebody asks for a file.
var postfix = server{
	dir: map[string]string{"": "/etc/postfix/certs", "freebsd": "/usr/local/etc/postfix/certs"},
	files: func(public bool) map[Role]File {
		ca := usual(CA, "cacert.pem")
		ca.Public = public
		return map[Role]File{
			PairFile: usual(PairFile, "host.pem"),
			CA:       ca,
			DH:       usual(DH, "dh.param"),
		}
	},
	arrange: func(l *Layout, _ string, c Choices) error {
		if c.SNI != "" {
			var err error
			if l.Table, err = parseTable(c.SNI); err != nil {
				return err
			}
			if _, ok := l.Files[PairFile]; !ok {
				return errors.New("sni: want key and certificate in one file (pair)")
			}
		}
		// `postfix reload` is an error where Postfix does not run.
		l.Reload = "if postfix status 2>/dev/null; then postfix reload; fi"
		l.Probes = []string{"smtp://127.0.0.1:25"}
		return nil
	},
}
