package interop

import "regexp"

// A side is a direction of a row, from the peer's view.
type side int

const (
	reads  side = 1 << iota // what we write
	writes                  // what we read
	either = reads | writes
)

// A reason is why a peer does not do something. It holds only if that peer, or
// where we refuse, mailseal, has just said so.
type reason struct {
	number int // in the document; they stay
	who    *regexp.Regexp
	rows   *regexp.Regexp
	sides  side
	says   *regexp.Regexp
	text   string
}

// noOption is how the cooks in test/peers say it.
const noOption = "^(as [a-z0-9-]*: )?(gpgsm|cmsutil|bouncy castle) cannot "

// Numbers go by program. A row that a reason takes in may not work for that
// program and direction; what says so has to be in its own words.
var reasons = []reason{
	because(1, "openssl", "CompressedData", either, "unsupported compression algorithm|Error creating CMS",
		"OpenSSL as Debian builds it comes without zlib."),
	because(2, "openssl 3.0", "Ed25519", either, "no default digest|invalid digest",
		"OpenSSL 3.0 always names a digest to the signature algorithm, and Ed25519 (RFC 8419) takes none."),
	because(3, "openssl 3.0", "SHA3-512, P-256", writes, "unsupported signature algorithm",
		"OpenSSL 3.0 has no name for ECDSA with SHA-3."),
	because(4, "openssl", "X25519", either, "not supported for this keytype|no matching recipient",
		"OpenSSL has no X25519 in CMS (RFC 8418)."),
	because(5, "openssl", "ChaCha20", either, "unsupported content encryption algorithm|unknown cipher",
		"OpenSSL has no ChaCha20-Poly1305 in CMS (RFC 8103)."),
	because(6, "openssl", "AES-...-CCM", writes, "unsupported cipher|cipher parameter initialisation",
		"OpenSSL has no AES-CCM in CMS."),
	because(7, "openssl", "AES-256-GCM in EnvelopedData", writes, "made auth-enveloped-data",
		"OpenSSL puts GCM where it belongs, into AuthEnvelopedData."),

	because(20, "gpgsm|nss", "Forms: .*, DER", writes, errEncoding.Error(),
		"gpgsm and NSS write indefinite lengths alone, as CMS allows."),
	because(21, "gpgsm", "Forms: certificates alone", writes, noOption,
		"gpgsm exports certificates as they are, not in a CMS object."),
	because(22, "gpgsm|nss", "(Compressed|Digested)Data", writes, noOption,
		"gpgsm and cmsutil have no option for such an object."),
	because(22, "gpgsm", "CompressedData", reads, noOption, ""),
	because(23, "gpgsm|nss", "PSS|named by key identifier|without signed attributes|OAEP|cofactor", writes, noOption,
		"gpgsm and cmsutil have no option to choose this."),
	because(23, "gpgsm", "key derived", writes, noOption, ""),
	because(23, "gpgsm|nss", "(: |RSA, P-256 and )password$", writes, noOption, ""),
	because(23, "nss", "Recipients: password", reads, noOption, ""),
	because(23, "nss", "two signers|without the signer's certificate", writes, noOption, ""),

	because(30, "gpgsm 2.2", "ECDSA P-384, SHA-256", either, "not valid for a 384 bit ECC key|Invalid length",
		"gpgsm takes no digest that is shorter than the curve."),
	because(31, "gpgsm 2.2", "ECDSA P-521, SHA-(256|384)", writes, "Invalid length",
		"gpgsm 2.2 makes P-521 signatures with SHA-512 alone, and takes none."),
	because(31, "gpgsm 2.2", "ECDSA P-521", reads, "Internal error|requires the hash", ""),
	because(32, "gpgsm 2.2", "Ed25519", either, "Internal error|Invalid OID string",
		"gpgsm 2.2 has no Ed25519 signatures."),
	because(33, "gpgsm", "Signatures: .*key identifier", reads, "BER error",
		"gpgsm finds no signer who is named by a key identifier."),
	because(34, "gpgsm", "SHA3-", writes, "selected digest algorithm is invalid",
		"gpgsm has no SHA-3."),
	because(35, "gpgsm", "DSA-1024", writes, "data error",
		"gpgsm imports no DSA keys."),
	because(36, "gpgsm", "Signatures that we only read: MD5", writes, "made with digest SHA-1",
		"gpgsm signs with SHA-1 where MD5 is asked for."),
	because(37, "gpgsm 2.2", "OAEP", reads, "error getting encrypted session key",
		"gpgsm has no RSAES-OAEP."),
	because(38, "gpgsm", "Recipients: .*key identifier", reads, "error getting info",
		"gpgsm finds no recipient who is named by a key identifier."),
	because(39, "gpgsm 2.2", "ECDH P-...( with cofactor)?$|two, P-256|X25519|P-256, AES-128-CBC", either, "Wrong key usage|Invalid session key|error getting encrypted session key",
		"gpgsm 2.2 has no key agreement."),
	because(39, "gpgsm 2.2", "two, RSA and P-256", writes, "Wrong key usage", ""),
	because(41, "gpgsm 2.2", "two, RSA and P-256|three", reads, "(?s)^as p256: .*Invalid session key",
		"gpgsm 2.2 has no key agreement; whoever has the RSA key opens it."),
	because(23, "gpgsm", "three", writes, noOption, ""),
	because(40, "gpgsm 2.2", "GCM|CCM|ChaCha20", either, "selected cipher algorithm is invalid|Buffer too short|unsupported algorithm",
		"gpgsm 2.2 has no AuthEnvelopedData."),

	because(50, "nss", "Forms: CompressedData", reads, "failed to decode",
		"NSS as Debian builds it has no decompression."),
	because(51, "nss", "Ed25519", either, "Error attempting to import private key|ProcessingError",
		"NSS has no Ed25519 in CMS, and does not import such keys."),
	because(52, "nss", "SHA-224|SHA3-", writes, "-H requires one of",
		"cmsutil signs with other digests."),
	because(53, "nss", "MD5", writes, "SIGNATURE_ALGORITHM_DISABLED",
		"NSS refuses to sign with MD5."),
	because(54, "nss", "OAEP", reads, "failed to decode",
		"NSS has no RSAES-OAEP in CMS."),
	because(55, "nss", "Recipients: (ECDH|two, P-256|two, RSA and P-256|three)|for (RSA and )?P-256|P-256, AES-128-CBC", either, "cannot create CMS recipientInfo|failed to decode",
		"NSS has no key agreement with ephemeral keys in CMS, nor does it open a mail where anybody else has it."),
	because(56, "nss", "X25519", either, "cannot find certificate|Error attempting to import private key",
		"NSS imports no X25519 keys."),
	because(57, "nss", "Content encryption: (AES-(192|256)-CBC|3DES|.*(GCM|CCM|Poly1305))|AES-256-GCM", writes, "made enveloped-data with AES128-CBC",
		"cmsutil chooses the cipher itself, here AES-128-CBC."),
	because(58, "nss", "GCM|ChaCha20", reads, "failed to decode",
		"NSS has no AuthEnvelopedData."),

	because(70, "Bouncy Castle", "DigestedData", writes, noOption,
		"Bouncy Castle only reads DigestedData."),
	because(71, "Bouncy Castle", "cofactor", writes, noOption,
		"The class for key agreement has no way to ask for the cofactor."),
	because(72, "Bouncy Castle", "X25519", either, "[Uu]nknown key agreement|no such algorithm",
		"Bouncy Castle has no X25519 in CMS (RFC 8418)."),
	because(73, "Bouncy Castle", "Content encryption: ChaCha20-Poly1305$", writes, "made enveloped-data",
		"Bouncy Castle puts ChaCha20-Poly1305 into EnvelopedData, which RFC 8103 and RFC 5083 forbid."),
}

func because(number int, who, rows string, sides side, says, text string) reason {
	return reason{number, regexp.MustCompile("^(" + who + ")"), regexp.MustCompile(rows), sides, regexp.MustCompile(says), text}
}

// reasonFor returns the first that is listed for a cell, nil for none.
func reasonFor(label, key string, s side) *reason {
	for i := range reasons {
		if r := &reasons[i]; r.sides&s != 0 && r.who.MatchString(label) && r.rows.MatchString(key) {
			return r
		}
	}
	return nil
}
