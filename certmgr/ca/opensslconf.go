package ca

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
)

// opensslConf is the configuration with which `openssl ca` works on a folder.
// The sections that bear the profiles' names serve `openssl ca -extensions`.
func opensslConf(dir string, s Settings) ([]byte, error) {
	if strings.ContainsFunc(dir, unicode.IsControl) {
		return nil, fmt.Errorf("folder %q: control characters in its name", dir)
	}
	// conf(5): these have a meaning inside a value.
	quoted := strings.NewReplacer(`\`, `\\`, `$`, `\$`, `#`, `\#`, `"`, `\"`, `'`, `\'`, "`", "\\`").Replace(dir)
	serial, unique, addresses := "", "no", ""
	if s.Serials == RandomSerials {
		serial = "rand_serial      = yes\n"
	}
	if s.UniqueSubject {
		unique = "yes"
	}
	if s.URL != "" {
		addresses = "crlDistributionPoints  = URI:" + s.URL + CRLPath + "\n" +
			"authorityInfoAccess    = caIssuers;URI:" + s.URL + CertPath + ", OCSP;URI:" + s.URL + OCSPPath + "\n"
	}
	return []byte(strings.NewReplacer("@DIR@", quoted, "@RAND_SERIAL@", serial, "@UNIQUE@", unique, "@ADDRESSES@", addresses,
		"@CRL_DAYS@", strconv.Itoa(s.CRLDays), "@DAYS@", strconv.Itoa(s.days(rules[Host]))).Replace(confText)), nil
}

// dirOf is the folder on which a configuration of ours makes the openssl
// command work.
func dirOf(conf string) (string, bool) {
	for line := range strings.Lines(conf) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "dir" && filepath.IsAbs(strings.TrimSpace(value)) {
			unquoted := strings.NewReplacer(`\\`, `\`, `\$`, `$`, `\#`, `#`, `\"`, `"`, `\'`, `'`, "\\`", "`")
			return unquoted.Replace(strings.TrimSpace(value)), true
		}
	}
	return "", false
}

const confText = `# For the openssl command, as in: openssl ca -config openssl.cnf -extensions host -in host.csr
# mailseal does not read this file. Do not run openssl ca while mailseal issues: it takes no lock.

[ ca ]
default_ca = CA_default

[ CA_default ]
dir              = @DIR@
certificate      = $dir/cacert.pem
private_key      = $dir/private/cakey.pem
database         = $dir/index.txt
new_certs_dir    = $dir/newcerts
serial           = $dir/serial
@RAND_SERIAL@crlnumber        = $dir/crlnumber
crl              = $dir/crl.pem
default_md       = default
default_days     = @DAYS@
default_crl_days = @CRL_DAYS@
policy           = policy_anything
preserve         = no
unique_subject   = @UNIQUE@
copy_extensions  = copy
x509_extensions  = host
crl_extensions   = crl
name_opt         = ca_default
cert_opt         = ca_default

[ policy_anything ]
countryName            = optional
stateOrProvinceName    = optional
localityName           = optional
organizationName       = optional
organizationalUnitName = optional
commonName             = supplied
emailAddress           = optional

# The subject alternative names come from the request (copy_extensions).
[ host ]
basicConstraints       = critical, CA:FALSE
keyUsage               = critical, digitalSignature, keyEncipherment
extendedKeyUsage       = serverAuth, clientAuth
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid:always
@ADDRESSES@
[ user ]
basicConstraints       = critical, CA:FALSE
keyUsage               = critical, digitalSignature, nonRepudiation, keyEncipherment
extendedKeyUsage       = emailProtection
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid:always
@ADDRESSES@
[ gateway ]
basicConstraints       = critical, CA:FALSE
keyUsage               = critical, digitalSignature, nonRepudiation, keyEncipherment
extendedKeyUsage       = emailProtection
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid:always
@ADDRESSES@
[ client ]
basicConstraints       = critical, CA:FALSE
keyUsage               = critical, digitalSignature
extendedKeyUsage       = clientAuth
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid:always
@ADDRESSES@
[ sub-ca ]
basicConstraints       = critical, CA:TRUE, pathlen:0
keyUsage               = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid:always
@ADDRESSES@
[ crl ]
authorityKeyIdentifier = keyid:always

[ req ]
distinguished_name = req_name
string_mask        = utf8only
utf8               = yes

[ req_name ]
commonName = Common name
`
