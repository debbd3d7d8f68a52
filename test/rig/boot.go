package rig

import (
	"os/exec"
	"testing"
)

// throwAway makes a CA and a host's certificate as FreeBSD's rc.d/sendmail does:
// the CA's key is not kept, so that nobody else will ever have a certificate of it.
const throwAway = `set -eu
cd "$1"; certs=$2; cn=$3
mkdir certs crl newcerts; echo 01 >serial; : >index.txt
cat >openssl.cnf <<-OPENSSL_CNF
	RANDFILE	= $1/.rnd
	[ ca ]
	default_ca	= CA_default
	[ CA_default ]
	dir		= .
	certs		= \$dir/certs
	crl_dir		= \$dir/crl
	database	= \$dir/index.txt
	new_certs_dir	= \$dir/newcerts
	certificate	= \$dir/cacert.pem
	serial		= \$dir/serial
	crlnumber	= \$dir/crlnumber
	crl		= \$dir/crl.pem
	private_key	= \$dir/cakey.pem
	x509_extensions	= usr_cert
	name_opt	= ca_default
	cert_opt	= ca_default
	default_days	= 365
	default_crl_days= 30
	default_md	= default
	preserve	= no
	policy		= policy_anything
	[ policy_anything ]
	countryName		= optional
	stateOrProvinceName	= optional
	localityName		= optional
	organizationName	= optional
	organizationalUnitName	= optional
	commonName		= supplied
	emailAddress		= optional
	[ req ]
	default_bits		= 2048
	default_keyfile		= privkey.pem
	distinguished_name	= req_distinguished_name
	attributes		= req_attributes
	x509_extensions		= v3_ca
	string_mask		= utf8only
	prompt			= no
	[ req_distinguished_name ]
	countryName		= XX
	stateOrProvinceName	= Some-state
	localityName		= Some-city
	0.organizationName	= Some-org
	CN			= $cn
	[ req_attributes ]
	challengePassword	= foobar
	unstructuredName	= An optional company name
	[ usr_cert ]
	basicConstraints	= CA:FALSE
	nsComment		= "OpenSSL Generated Certificate"
	subjectKeyIdentifier	= hash
	authorityKeyIdentifier	= keyid,issuer
	[ v3_req ]
	basicConstraints	= CA:FALSE
	keyUsage		= nonRepudiation, digitalSignature, keyEncipherment
	[ v3_ca ]
	subjectKeyIdentifier	= hash
	authorityKeyIdentifier	= keyid:always,issuer
	basicConstraints	= CA:true
OPENSSL_CNF
openssl req -batch -passout pass:throwaway -new -x509 -config openssl.cnf -keyout cakey.pem -out cacert.pem -days 3650 -newkey rsa:2048
openssl req -batch -nodes -new -x509 -config openssl.cnf -keyout newkey.pem -out newreq.pem -days 365 -newkey rsa:2048
openssl x509 -x509toreq -in newreq.pem -signkey newkey.pem -out tmp.pem
openssl ca -notext -config openssl.cnf -out newcert.pem -keyfile cakey.pem -cert cacert.pem -key throwaway -batch -infiles tmp.pem
mkdir -p -m 0755 "$certs"
install -m 0644 newcert.pem "$certs/host.cert"
install -m 0644 cacert.pem "$certs/cacert.pem"
install -m 0600 newkey.pem "$certs/host.key"
ln -s cacert.pem "$certs/$(openssl x509 -hash -noout -in cacert.pem).0"
`

// ThrowAway has a host called cn make its certificates as FreeBSD does at its first
// boot: host.key, host.cert, cacert.pem and the hash link, in the folder certs.
func ThrowAway(t testing.TB, certs, cn string) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	out, err := exec.Command("/bin/sh", "-c", throwAway, "sendmail_cert_create", t.TempDir(), certs, cn).CombinedOutput()
	if err != nil {
		t.Fatalf("make throw-away certificates: %v\n%s", err, out)
	}
}
