package index

import (
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Reason is why a certificate is revoked (RFC 5280 section 5.3.1).
type Reason int

// The reasons, by their numbers in a CRL.
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	CACompromise         Reason = 2
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	CertificateHold      Reason = 6
	RemoveFromCRL        Reason = 8
)

// reasons are the names that openssl ca has for them.
var reasons = map[Reason]string{
	Unspecified: "unspecified", KeyCompromise: "keyCompromise", CACompromise: "CACompromise",
	AffiliationChanged: "affiliationChanged", Superseded: "superseded", CessationOfOperation: "cessationOfOperation",
	CertificateHold: "certificateHold", RemoveFromCRL: "removeFromCRL",
}

// The reasons of openssl ca that bring a value along.
const (
	holdInstruction = "holdInstruction" // what to do with a certificate on hold
	keyTime         = "keyTime"         // keyCompromise, and since when
	caKeyTime       = "CAkeyTime"       // CACompromise, and since when
)

func (r Reason) String() string {
	if name, ok := reasons[r]; ok {
		return name
	}
	return "reason " + strconv.Itoa(int(r))
}

// ParseReason reads a reason's name, whatever the case. An empty one is
// Unspecified. removeFromCRL is none: it belongs into lists of changes, and a
// certificate that is on hold cannot come back.
func ParseReason(s string) (Reason, error) {
	if s == "" {
		return Unspecified, nil
	}
	for r, name := range reasons {
		if strings.EqualFold(s, name) && r != RemoveFromCRL {
			return r, nil
		}
	}
	return 0, fmt.Errorf("reason %q: want unspecified, keyCompromise, CACompromise, affiliationChanged, superseded, cessationOfOperation or certificateHold", s)
}

// A Revocation is what the third column says.
type Revocation struct {
	At     time.Time
	Reason Reason
	// Since is when the key came into other hands, zero where that is not
	// known (RFC 5280 section 5.3.2).
	Since time.Time
	// Hold is what OpenSSL's holdInstruction says, nil for nothing. RFC 5280
	// has no such extension any more.
	Hold asn1.ObjectIdentifier
}

// String writes the column: date[,reason[,value]].
func (r Revocation) String() string {
	switch at := Time(r.At); {
	case !r.Since.IsZero() && r.Reason == KeyCompromise:
		return at + "," + keyTime + "," + r.Since.UTC().Format(generalized)
	case !r.Since.IsZero() && r.Reason == CACompromise:
		return at + "," + caKeyTime + "," + r.Since.UTC().Format(generalized)
	case r.Reason == CertificateHold && r.Hold != nil:
		return at + "," + holdInstruction + "," + r.Hold.String()
	case r.Reason == Unspecified:
		return at
	default:
		return at + "," + r.Reason.String()
	}
}

const generalized = "20060102150405Z"

// holds are the names of OpenSSL for values of holdInstruction.
var holds = map[string]asn1.ObjectIdentifier{
	"holdInstructionNone":       {1, 2, 840, 10040, 2, 1},
	"holdInstructionCallIssuer": {1, 2, 840, 10040, 2, 2},
	"holdInstructionReject":     {1, 2, 840, 10040, 2, 3},
}

// ParseRevocation reads the column, as openssl ca writes it.
func ParseRevocation(s string) (Revocation, error) {
	date, rest, _ := strings.Cut(s, ",")
	name, value, _ := strings.Cut(rest, ",")
	at, err := parseTime(date)
	if err != nil {
		return Revocation{}, fmt.Errorf("revocation %w", err)
	}
	r := Revocation{At: at}
	switch {
	case name == "":
		return r, nil
	case strings.EqualFold(name, holdInstruction):
		r.Reason = CertificateHold
		r.Hold, err = parseHold(value)
		return r, err
	case strings.EqualFold(name, keyTime), strings.EqualFold(name, caKeyTime):
		r.Reason = KeyCompromise
		if strings.EqualFold(name, caKeyTime) {
			r.Reason = CACompromise
		}
		if r.Since, err = parseTime(value); err != nil || len(value) != len(generalized) {
			return r, fmt.Errorf("revocation %q: want YYYYMMDDHHMMSSZ at its end", s)
		}
		return r, nil
	}
	for reason, known := range reasons {
		if strings.EqualFold(name, known) {
			r.Reason = reason
			return r, nil
		}
	}
	return r, fmt.Errorf("revocation %q: there is no reason %q", s, name)
}

func parseHold(s string) (asn1.ObjectIdentifier, error) {
	if oid, ok := holds[s]; ok {
		return oid, nil
	}
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || len(oid) > 20 {
			return nil, fmt.Errorf("hold instruction %q: neither one of OpenSSL's names nor an object identifier", s)
		}
		oid = append(oid, n)
	}
	if len(oid) < 2 || oid[0] > 2 || (oid[0] < 2 && oid[1] > 39) {
		return nil, fmt.Errorf("hold instruction %q: not an object identifier", s)
	}
	return oid, nil
}
