package pki

import (
	"encoding/asn1"
	"errors"
)

// PKCS #12 may be written in BER, and Bouncy Castle, which many certificate
// authorities run on, does so: indefinite lengths and strings in pieces. The
// libraries read DER only.

const maxDepth = 32

var errBER = errors.New("damaged PKCS #12")

// toDER rewrites one BER value with definite lengths and whole octet strings
// (X.690 sections 8.1.3 and 8.7). DER comes back as it is.
func toDER(ber []byte) ([]byte, error) {
	der, rest, err := derValue(ber, 0)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, errBER
	}
	return der, nil
}

func derValue(ber []byte, depth int) (der, rest []byte, err error) {
	tag, content, rest, indefinite, err := berHeader(ber)
	if err != nil || depth > maxDepth {
		return nil, nil, errBER
	}
	if tag&0x20 == 0 {
		return tlv(tag, content), rest, nil
	}
	in := content
	if indefinite {
		in = rest
	}
	var out []byte
	for {
		if indefinite && len(in) >= 2 && in[0] == 0 && in[1] == 0 {
			rest = in[2:]
			break
		}
		if len(in) == 0 {
			if indefinite {
				return nil, nil, errBER
			}
			break
		}
		var child []byte
		if child, in, err = derValue(in, depth+1); err != nil {
			return nil, nil, err
		}
		out = append(out, child...)
	}
	if tag == 0x20|asn1.TagOctetString {
		if out, err = joinOctets(out); err != nil {
			return nil, nil, err
		}
		tag = asn1.TagOctetString
	}
	return tlv(tag, out), rest, nil
}

// berHeader reads tag and length. With an indefinite length content is nil and
// rest all that follows.
func berHeader(ber []byte) (tag byte, content, rest []byte, indefinite bool, err error) {
	if len(ber) < 2 || ber[0]&0x1f == 0x1f { // no high tag number occurs in PKCS #12
		return 0, nil, nil, false, errBER
	}
	tag, n, ber := ber[0], int(ber[1]), ber[2:]
	switch {
	case n == 0x80:
		if tag&0x20 == 0 {
			return 0, nil, nil, false, errBER
		}
		return tag, nil, ber, true, nil
	case n > 0x80:
		octets := n & 0x7f
		if octets > 4 || octets > len(ber) {
			return 0, nil, nil, false, errBER
		}
		n = 0
		for _, b := range ber[:octets] {
			n = n<<8 | int(b)
		}
		ber = ber[octets:]
	}
	if n < 0 || n > len(ber) {
		return 0, nil, nil, false, errBER
	}
	return tag, ber[:n], ber[n:], false, nil
}

// joinOctets joins the pieces of a string: DER octet strings, one behind the
// other.
func joinOctets(der []byte) ([]byte, error) {
	var out []byte
	for len(der) > 0 {
		tag, content, rest, _, err := berHeader(der)
		if err != nil || tag != asn1.TagOctetString {
			return nil, errBER
		}
		out = append(out, content...)
		der = rest
	}
	return out, nil
}

// tlv writes a value with the shortest length.
func tlv(tag byte, content []byte) []byte {
	n := len(content)
	out := make([]byte, 0, n+6)
	switch {
	case n < 0x80:
		out = append(out, tag, byte(n))
	case n < 1<<8:
		out = append(out, tag, 0x81, byte(n))
	case n < 1<<16:
		out = append(out, tag, 0x82, byte(n>>8), byte(n))
	case n < 1<<24:
		out = append(out, tag, 0x83, byte(n>>16), byte(n>>8), byte(n))
	default:
		out = append(out, tag, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(out, content...)
}
