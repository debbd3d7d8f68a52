package install

import "path/filepath"

// xmail has the files of XMail's MailRoot: server.key and server.cert, CERTS.PEM
// (SSLUseCertsFile in SERVER.TAB), and the folder CERTS with hash links
// (SSLUseCertsDir). XMail reads them at every session and no list of what is
// revoked. What else is in server.cert stays there, behind ours.
var xmail = server{
	dir: map[string]string{"": "/var/MailRoot"},
	files: func(public bool) map[Role]File {
		ca, certificate := usual(CA, "CERTS.PEM"), usual(Certificate, "server.cert")
		ca.Public, certificate.Append = public, true
		return map[Role]File{
			Key:         usual(Key, "server.key"),
			Certificate: certificate,
			CA:          ca,
		}
	},
	arrange: func(l *Layout, dir string, _ Choices) error {
		l.Dir = filepath.Join(dir, "CERTS")
		to, err := filepath.Rel(l.Dir, l.Files[CA].Path)
		if err != nil {
			return err
		}
		l.Links = map[string]string{"cacert.pem": to}
		l.Probes = []string{"smtp://127.0.0.1:25"}
		return nil
	},
}
