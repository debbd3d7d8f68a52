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
	because(1, "openssl 3.0", "CompressedData", either, "unsupported compression algorithm|Error creating CMS",
		"OpenSSL of Debian 12 comes without zlib."),
	because(2, "openssl 3.0", "Ed25519", either, "invalid digest",
		"OpenSSL 3.0 always names a digest to the signature algorithm, and Ed25519 (RFC 8419) takes none."),
	because(3, "openssl 3.0", "SHA3-512, P-256", writes, "unsupported signature algorithm",
		"OpenSSL 3.0 has no name for ECDSA with SHA-3."),
	because(4, "openssl", "X25519", either, "not supported for this keytype|no matching recipient|missing key|illegal zero content|Error writing CMS",
		"OpenSSL has no X25519 in CMS (RFC 8418)."),
	because(5, "openssl", "ChaCha20", either, "unsupported content encryption algorithm|unknown cipher",
		"OpenSSL has no ChaCha20-Poly1305 in CMS (RFC 8103)."),
	because(6, "openssl", "AES-...-CCM", writes, "unsupported cipher|cipher parameter initialisation",
		"OpenSSL has no AES-CCM in CMS."),
	because(7, "openssl", "AES-256-GCM in EnvelopedData", writes, "made auth-enveloped-data",
		"OpenSSL puts GCM where it belongs, into AuthEnvelopedData."),
	because(8, "openssl 3.5", "ML-KEM", either, "not supported for this keytype|no matching recipient",
		"OpenSSL has ML-KEM in CMS from 3.6 on."),

	because(20, "gpgsm|nss", "Forms: .*, DER", writes, errEncoding.Error(),
		"gpgsm and NSS write indefinite lengths alone, as CMS allows."),
	because(21, "gpgsm", "Forms: certificates alone", writes, noOption,
		"gpgsm exports certificates as they are, not in a CMS object."),
	because(22, "gpgsm|nss", "(Compressed|Digested)Data", writes, noOption,
		"gpgsm and cmsutil have no option for such an object."),
	because(22, "gpgsm", "CompressedData", reads, noOption, ""),
	because(23, "gpgsm|nss", "PSS|named by key identifier|without signed attributes|OAEP|cofactor", writes, noOption,
		"gpgsm and cmsutil have no option to choose this."),
	because(23, "gpgsm|nss", "key derived", writes, noOption, ""),
	because(23, "gpgsm|nss", "(: |RSA, P-256 and )password$", writes, noOption, ""),
	because(23, "nss", "Recipients: password", reads, noOption, ""),
	because(23, "nss", "two signers|without the signer's certificate", writes, noOption, ""),

	because(30, "gpgsm", "ECDSA P-384, SHA-256", either, "not valid for a 384 bit ECC key|Invalid length",
		"gpgsm takes no digest that is shorter than the curve."),
	because(30, "gpgsm 2.4", "ECDSA P-521, SHA-(256|384)", either, "not valid for a 521 bit ECC key|Invalid length", ""),
	because(31, "gpgsm 2.2", "ECDSA P-521, SHA-(256|384)", writes, "Invalid length",
		"gpgsm 2.2 makes P-521 signatures with SHA-512 alone, and takes none."),
	because(31, "gpgsm 2.2", "ECDSA P-521", reads, "Internal error|requires the hash", ""),
	because(32, "gpgsm", "Ed25519", either, "Internal error|Invalid OID string",
		"gpgsm has no Ed25519 signatures."),
	because(33, "gpgsm", "Signatures: .*key identifier", reads, "BER error",
		"gpgsm finds no signer who is named by a key identifier."),
	because(34, "gpgsm", "SHA3-", writes, "selected digest algorithm is invalid",
		"gpgsm has no SHA-3."),
	because(35, "gpgsm", "DSA-1024", writes, "error parsing or decrypting the PKCS|data error",
		"gpgsm imports no DSA keys."),
	because(36, "gpgsm", "Signatures that we only read: MD5", writes, "made with digest SHA-1",
		"gpgsm signs with SHA-1 where MD5 is asked for."),
	because(37, "gpgsm", "OAEP", reads, "error getting encrypted session key",
		"gpgsm has no RSAES-OAEP."),
	because(38, "gpgsm", "Recipients: .*key identifier", reads, "error getting info",
		"gpgsm finds no recipient who is named by a key identifier."),
	because(39, "gpgsm 2.2", "ECDH P-...( with cofactor)?$|two, P-256|X25519|P-256, AES-128-CBC", either, "Wrong key usage|Invalid session key|error getting encrypted session key",
		"gpgsm 2.2 has no key agreement."),
	because(39, "gpgsm 2.2", "two, RSA and P-256", writes, "Wrong key usage", ""),
	because(40, "gpgsm", "GCM|CCM|ChaCha20", either, "selected cipher algorithm is invalid|Buffer too short|unsupported algorithm",
		"gpgsm has no AuthEnvelopedData."),
	because(41, "gpgsm 2.2", "two, RSA and P-256|three", reads, "(?s)^as p256: .*Invalid session key",
		"gpgsm 2.2 has no key agreement; whoever has the RSA key opens it."),
	because(42, "gpgsm 2.4", "X25519", writes, "made without the identifier of X25519",
		"gpgsm 2.4 writes the sender's key in a form of its own instead of that of RFC 8418, and reads only that."),
	because(42, "gpgsm 2.4", "X25519", reads, "error getting encrypted session key", ""),
	because(43, "gpgsm", "ML-(DSA|KEM)", either, "PKCS#12|no signature value|No public key|error getting info|No secret key",
		"gpgsm has neither ML-DSA nor ML-KEM."),

	because(50, "nss 3.87", "Forms: CompressedData", reads, "failed to decode",
		"NSS as Debian builds it has no decompression."),
	because(50, "nss 3.110", "Forms: CompressedData", reads, "failed to decode", ""),
	because(51, "nss", "Ed25519", either, "Error attempting to import private key|ProcessingError|does not support the requested operation|BadSignature",
		"NSS has no Ed25519 in CMS, and does not import such keys."),
	because(52, "nss 3.87", "SHA-224|SHA3-", writes, "-H requires one of",
		"cmsutil signs with other digests."),
	because(52, "nss 3.110", "SHA3-", writes, "SEC_ERROR_INVALID_ALGORITHM", ""),
	because(53, "nss", "MD5", writes, "SIGNATURE_ALGORITHM_DISABLED|failed to add data to encoder",
		"NSS refuses to sign with MD5."),
	because(54, "nss 3.87", "OAEP", reads, "failed to decode",
		"NSS 3.87 has no RSAES-OAEP in CMS."),
	because(55, "nss 3.87", "Recipients: (ECDH|two, P-256|two, RSA and P-256|three)|for (RSA and )?P-256|P-256, AES-128-CBC", either, "cannot create CMS recipientInfo|failed to decode",
		"NSS 3.87 has no key agreement with ephemeral keys in CMS, nor does it open a mail where anybody else has it."),
	because(60, "nss 3.110", "three", reads, "UNRECOGNIZED_OID",
		"NSS opens no mail that is encrypted for a password too."),
	because(56, "nss", "X25519", either, "cannot find certificate|Error attempting to import private key",
		"NSS imports no X25519 keys."),
	because(59, "nss", "ML-(DSA|KEM)", either, "UNRECOGNIZED_OID|cannot find certificate|PKCS12|failed to decode",
		"NSS has neither ML-DSA nor ML-KEM in CMS."),
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
