package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	milterlib "github.com/emersion/go-milter"
)

// The commands of the MTA that the library has no name for, or another.
const (
	cmdOptNeg  = byte(milterlib.CodeOptNeg)
	cmdMacro   = byte(milterlib.CodeMacro)
	cmdConnect = byte(milterlib.CodeConn)
	cmdHelo    = byte(milterlib.CodeHelo)
	cmdMail    = byte(milterlib.CodeMail)
	cmdRcpt    = byte(milterlib.CodeRcpt)
	cmdData    = byte(milterlib.CodeData)
	cmdHeader  = byte(milterlib.CodeHeader)
	cmdEOH     = byte(milterlib.CodeEOH)
	cmdBody    = byte(milterlib.CodeBody)
	cmdEOM     = byte(milterlib.CodeEOB)
	cmdAbort   = byte(milterlib.CodeAbort)
	cmdQuit    = byte(milterlib.CodeQuit)
)

// A packet is one command of the MTA. Its data is valid until the next is read.
type packet struct {
	code byte
	data []byte
}

// The greatest length of a packet, code included. Both MTAs send at most 65535
// bytes of a body or of a header field in one packet; the library takes 1 MiB.
const maxPacket = 1 << 20

// limit is the greatest length of a packet of this code. An SMTP command is a
// few KiB at most; what is repeated and kept must be small.
func limit(code byte) int {
	switch code {
	case cmdHeader, cmdBody, cmdEOM:
		return maxPacket
	case cmdMacro:
		return 64 << 10
	}
	return 16 << 10
}

var errNoNUL = errors.New("string without its NUL")

// cstring splits off the first NUL-terminated string.
func cstring(b []byte) (s string, rest []byte, err error) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", nil, errNoNUL
	}
	return string(b[:i]), b[i+1:], nil
}

// cstrings reads a packet that is NUL-terminated strings and nothing else.
func cstrings(b []byte) ([]string, error) {
	var out []string
	for len(b) > 0 {
		s, rest, err := cstring(b)
		if err != nil {
			return nil, err
		}
		out, b = append(out, s), rest
	}
	return out, nil
}

// path reads the arguments of MAIL or RCPT: the path and the ESMTP parameters.
// sendmail(1) of Postfix gives paths without angle brackets, smtpd with.
func path(b []byte) (address string, args []string, err error) {
	all, err := cstrings(b)
	if err != nil {
		return "", nil, err
	}
	if len(all) == 0 {
		return "", nil, errors.New("no address")
	}
	address = all[0]
	if strings.HasPrefix(address, "<") && strings.HasSuffix(address, ">") {
		address = address[1 : len(address)-1]
	}
	if len(all) > 1 {
		args = all[1:]
	}
	return address, args, nil
}

// headerField reads SMFIC_HEADER: a name and a value, either of which may be
// empty. A third string would be a NUL within the value.
func headerField(b []byte) (name, value string, err error) {
	name, b, err = cstring(b)
	if err != nil {
		return "", "", err
	}
	value, b, err = cstring(b)
	if err != nil {
		return "", "", err
	}
	if len(b) > 0 {
		return "", "", errors.New("more than a name and a value")
	}
	return name, value, nil
}

// connection reads SMFIC_CONNECT. The address is the zero Addr for clients on
// a Unix socket and those that the MTA knows nothing about.
func connection(b []byte) (host string, addr netip.Addr, err error) {
	host, b, err = cstring(b)
	if err != nil {
		return "", netip.Addr{}, err
	}
	if len(b) == 0 {
		return "", netip.Addr{}, errors.New("no address family")
	}
	family, b := milterlib.ProtoFamily(b[0]), b[1:]
	if family != milterlib.FamilyInet && family != milterlib.FamilyInet6 {
		return host, netip.Addr{}, nil
	}
	if len(b) < 2 {
		return "", netip.Addr{}, errors.New("no port")
	}
	text, _, err := cstring(b[2:])
	if err != nil {
		return "", netip.Addr{}, err
	}
	return host, clientAddr(text), nil
}

// clientAddr reads an address as the MTAs write it: sendmail puts "IPv6:"
// before one of version 6 (anynet_ntop). A zone or an IPv4 address in IPv6's
// clothes would not match any network of the configuration.
func clientAddr(text string) netip.Addr {
	if len(text) > 5 && strings.EqualFold(text[:5], "IPv6:") {
		text = text[5:]
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// An offer is what the MTA says it can do (SMFIC_OPTNEG).
type offer struct {
	version  uint32
	actions  milterlib.OptAction
	protocol milterlib.OptProtocol
}

// negotiation reads SMFIC_OPTNEG and says what we miss in it. The library
// answers without looking at the offer; the MTA would then refuse us with a
// message that nobody understands.
func negotiation(b []byte) (offer, error) {
	if len(b) < 12 {
		return offer{}, errors.New("negotiation of less than 12 bytes")
	}
	o := offer{
		version:  binary.BigEndian.Uint32(b),
		actions:  milterlib.OptAction(binary.BigEndian.Uint32(b[4:])),
		protocol: milterlib.OptProtocol(binary.BigEndian.Uint32(b[8:])),
	}
	missingActions, missingProtocol := actions&^o.actions, protocol&^o.protocol
	if missingActions != 0 || missingProtocol != 0 {
		return o, fmt.Errorf("the MTA offers protocol %d without actions %#x and flags %#x; sendmail 8.14 or Postfix 2.6 with milter_protocol = 6 is needed",
			o.version, uint32(missingActions), uint32(missingProtocol))
	}
	return o, nil
}
