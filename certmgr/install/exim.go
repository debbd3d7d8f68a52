package install

import (
	"errors"
	"os/user"
)

// exim has the files of tls_privatekey, tls_certificate, tls_verify_certificates,
// tls_crl and tls_dhparam under the names of Debian's. Exim 4.95 and later watches
// their folders and reads them anew five seconds after the last change; earlier
// ones, and names with a $, are read at every connection. It has to see real files
// renamed within one folder, so none of them is a link, and it reads as its own
// user, who is to be in the key's group.
//
// Where names have a $, there is an instant between two renames in which a
// connection finds a key that is not the certificate's. files = { pair = "..." }
// has none: Exim takes both from tls_certificate when tls_privatekey is not set.
var exim = server{
	dir: map[string]string{"": "/etc/exim4", "freebsd": "/usr/local/etc/exim"},
	files: func(public bool) map[Role]File {
		ca := usual(CA, "cacert.pem")
		ca.Public = public
		return map[Role]File{
			Key:         usual(Key, "exim.key"),
			Certificate: usual(Certificate, "exim.crt"),
			CA:          ca,
			CRL:         usual(CRL, "crl.pem"),
			DH:          usual(DH, "dh.param"),
		}
	},
	dh: true,
	arrange: func(l *Layout, _ string, c Choices) error {
		l.Probes = []string{"smtp://127.0.0.1:25"}
		if c.Owner != "" || c.Group != "" {
			return nil
		}
		for _, group := range []string{"Debian-exim", "exim", "mailnull"} {
			if _, err := user.LookupGroup(group); err == nil {
				c.Group = group
				return l.own(c)
			}
		}
		return errors.New("as whom Exim runs is not known, and that user has to read the key; say group (or owner)")
	},
}
