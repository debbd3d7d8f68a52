// Package logline takes the lines of a system's log apart: when, on which host,
// by which program and process, and what was said.
//
// It reads what the syslog daemons of Debian and FreeBSD write, journalctl's
// short, short-iso, short-precise and json forms, and Exim's own log:
//
//	Nov  2 08:00:15 mx postfix/smtpd[19530]: connect from unknown[192.0.2.1]   RFC 3164
//	2026-11-02T08:00:15.123456+09:00 mx sm-mta[19876]: STARTTLS=client, ...    rsyslog, short-iso
//	<22>1 2026-11-02T08:00:15.123456+09:00 mx sm-mta 19876 - - STARTTLS=...    RFC 5424
//	{"__REALTIME_TIMESTAMP":"...","MESSAGE":"...",...}                         journalctl -o json
//	2026-11-02 08:00:15 1tFqGa-0003Yb-2x <= ...                                Exim
//
// Lines come from strangers as far as what they say goes; nothing is believed of
// them but their place in the line. A line that is none of these is told as such.
package logline

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// An Entry is a line taken apart. Its slices are parts of the line and are good
// as long as that is.
type Entry struct {
	Time    time.Time
	Host    []byte // where it was logged, "" when the line has none
	Program []byte // "postfix/smtpd", "" when the line has none
	PID     int    // 0 when the line has none
	Message []byte
}

// A Parser takes lines apart that come in the order of time, or nearly. It is
// for one goroutine.
type Parser struct {
	// Latest is no earlier than any line: now, or when the file was written. Lines
	// without a year are of the last one that they can be of.
	Latest time.Time
	// Location is that of times without a zone.
	Location *time.Location

	stamp    [15]byte // the RFC 3164 time that was read last
	stamped  time.Time
	iso      [32]byte // the same of RFC 3339
	isoLen   int
	isoTime  time.Time
	exim     [19]byte
	eximTime time.Time
}

// ahead is how far clocks may be from each other.
const ahead = 24 * time.Hour

// Parse takes a line apart. It is false for one that has no time where a log
// has it.
func (p *Parser) Parse(line []byte) (Entry, bool) {
	if len(line) < 16 {
		return Entry{}, false
	}
	switch c := line[0]; {
	case c == '{':
		return parseJournal(line)
	case c == '<':
		return p.parsePriority(line)
	case c >= 'A' && c <= 'Z':
		return p.parseShort(line)
	case c >= '0' && c <= '9' && line[10] == 'T':
		return p.parseLong(line)
	case c >= '0' && c <= '9' && line[10] == ' ':
		return p.parseExim(line)
	}
	return Entry{}, false
}

// parsePriority reads <PRI> and what follows: RFC 5424, or a line as above.
func (p *Parser) parsePriority(line []byte) (Entry, bool) {
	i := bytes.IndexByte(line[:5], '>')
	if i < 2 {
		return Entry{}, false
	}
	rest := line[i+1:]
	if !bytes.HasPrefix(rest, []byte("1 ")) { // RFC 5424 section 6.2.2
		if len(rest) > 0 && (rest[0] == '<' || rest[0] == '{') {
			return Entry{}, false
		}
		return p.Parse(rest)
	}
	var word [5][]byte // time, host, program, process, message's kind
	rest = rest[2:]
	for i := range word {
		var ok bool
		if word[i], rest, ok = bytes.Cut(rest, []byte(" ")); !ok {
			return Entry{}, false
		}
	}
	at, ok := p.long(word[0])
	if !ok {
		return Entry{}, false
	}
	e := Entry{Time: at, Host: known(word[1]), Program: known(word[2]), PID: number(word[3])}
	if e.Message, ok = structured(rest); !ok {
		return Entry{}, false
	}
	return e, true
}

// known is a word of RFC 5424, where "-" is none.
func known(word []byte) []byte {
	if len(word) == 1 && word[0] == '-' {
		return nil
	}
	return word
}

// structured passes over structured data (RFC 5424 section 6.3) and the mark of
// UTF-8.
func structured(rest []byte) ([]byte, bool) {
	switch {
	case len(rest) > 0 && rest[0] == '-':
		rest = rest[1:]
	case len(rest) > 0 && rest[0] == '[':
		quoted := false
		i := 1
		for ; i < len(rest); i++ {
			switch c := rest[i]; {
			case c == '\\' && quoted:
				i++
			case c == '"':
				quoted = !quoted
			case c == ']' && !quoted && (i+1 == len(rest) || rest[i+1] != '['):
				rest = rest[i+1:]
				return bytes.TrimPrefix(bytes.TrimPrefix(rest, []byte(" ")), []byte("\ufeff")), true
			}
		}
		return nil, false
	default:
		return nil, false
	}
	return bytes.TrimPrefix(bytes.TrimPrefix(rest, []byte(" ")), []byte("\ufeff")), true
}

// parseShort reads "Nov  2 08:00:15 host tag[pid]: message".
func (p *Parser) parseShort(line []byte) (Entry, bool) {
	if line[3] != ' ' || line[6] != ' ' {
		return Entry{}, false
	}
	if !bytes.Equal(line[:15], p.stamp[:]) {
		at, ok := p.short(line[:15])
		if !ok {
			return Entry{}, false
		}
		p.stamped = at
		copy(p.stamp[:], line)
	}
	rest := line[15:]
	if rest[0] == '.' { // short-precise
		i := 1
		for i < len(rest) && digit(rest[i]) {
			i++
		}
		rest = rest[i:]
	}
	return origin(p.stamped, rest)
}

// parseLong reads the same behind a time of RFC 3339.
func (p *Parser) parseLong(line []byte) (Entry, bool) {
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		return Entry{}, false
	}
	at, ok := p.long(line[:i])
	if !ok {
		return Entry{}, false
	}
	return origin(at, line[i:])
}

// origin reads " host tag[pid]: message". The host may be missing, as in what
// programs hand to a syslog daemon; so may the tag, as in what mailseal writes
// to a terminal: then the message begins with a queue id.
func origin(at time.Time, rest []byte) (Entry, bool) {
	e := Entry{Time: at}
	if len(rest) == 0 || rest[0] != ' ' {
		return e, false
	}
	rest = rest[1:]
	first, after, ok := bytes.Cut(rest, []byte(" "))
	if ok && len(first) > 2 && first[0] == '<' && first[len(first)-1] == '>' { // FreeBSD's syslogd -v
		rest = after
		first, after, ok = bytes.Cut(rest, []byte(" "))
	}
	if !ok || len(first) == 0 {
		return e, false
	}
	if first[len(first)-1] == ':' {
		if !bytes.HasSuffix(first, []byte("]:")) { // no process: a queue id
			e.Message = rest
			return e, true
		}
		e.tag(first)
		e.Message = after
		return e, true
	}
	e.Host = first
	i := bytes.Index(after, []byte(": "))
	if i < 0 || i > maxTag {
		e.Message = after
		return e, true
	}
	e.tag(after[:i+1])
	e.Message = after[i+2:]
	return e, true
}

// maxTag bounds what may stand before the first colon.
const maxTag = 128

// tag reads "postfix/smtpd[123]:".
func (e *Entry) tag(tag []byte) {
	tag = tag[:len(tag)-1]
	if i := bytes.IndexByte(tag, '['); i >= 0 && tag[len(tag)-1] == ']' {
		e.PID = number(tag[i+1 : len(tag)-1])
		tag = tag[:i]
	}
	e.Program = tag
}

// parseExim reads Exim's own log, which says neither host nor program.
func (p *Parser) parseExim(line []byte) (Entry, bool) {
	if len(line) < 20 {
		return Entry{}, false
	}
	if !bytes.Equal(line[:19], p.exim[:]) {
		at, err := time.ParseInLocation(time.DateTime, string(line[:19]), p.location())
		if err != nil || at.Year() < firstYear {
			return Entry{}, false
		}
		p.eximTime = at
		copy(p.exim[:], line)
	}
	e := Entry{Time: p.eximTime, Program: []byte("exim")}
	rest := line[19:]
	if rest[0] == '.' { // log_selector = +millisec
		i := 1
		for i < len(rest) && digit(rest[i]) {
			i++
		}
		rest = rest[i:]
	}
	rest = bytes.TrimPrefix(rest, []byte(" "))
	if len(rest) > 6 && (rest[0] == '+' || rest[0] == '-') && rest[5] == ' ' { // log_timezone
		if zone, err := time.Parse("-0700", string(rest[:5])); err == nil {
			_, offset := zone.Zone()
			t := e.Time
			e.Time = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.FixedZone("", offset))
			rest = rest[6:]
		}
	}
	if len(rest) > 0 && rest[0] == '[' { // log_selector = +pid
		if i := bytes.IndexByte(rest, ']'); i > 0 && i+1 < len(rest) {
			e.PID = number(rest[1:i])
			rest = bytes.TrimPrefix(rest[i+1:], []byte(" "))
		}
	}
	e.Message = rest
	return e, true
}

// journal is what journalctl -o json and the Journal Export Format call what is
// needed here (systemd.journal-fields(7)).
type journal struct {
	Time    string          `json:"__REALTIME_TIMESTAMP"`
	Host    string          `json:"_HOSTNAME"`
	Program string          `json:"SYSLOG_IDENTIFIER"`
	PID     string          `json:"SYSLOG_PID"`
	Real    string          `json:"_PID"`
	Message json.RawMessage `json:"MESSAGE"` // a string, or an array of bytes where it is not UTF-8
}

func parseJournal(line []byte) (Entry, bool) {
	var j journal
	if json.Unmarshal(line, &j) != nil {
		return Entry{}, false
	}
	micro, err := strconv.ParseInt(j.Time, 10, 64)
	if err != nil {
		return Entry{}, false
	}
	e := Entry{Time: time.UnixMicro(micro), Host: []byte(j.Host), Program: []byte(j.Program)}
	e.PID = number([]byte(j.PID))
	if e.PID == 0 {
		e.PID = number([]byte(j.Real))
	}
	var text string
	if json.Unmarshal(j.Message, &text) == nil {
		e.Message = []byte(text)
		return e, true
	}
	var raw []uint8
	var values []uint16 // []uint8 would be base64
	if json.Unmarshal(j.Message, &values) != nil {
		return Entry{}, false
	}
	for _, v := range values {
		raw = append(raw, byte(v))
	}
	e.Message = raw
	return e, true
}

// number reads a process's number, 0 where there is none.
func number(b []byte) int {
	n := 0
	if len(b) == 0 || len(b) > 9 {
		return 0
	}
	for _, c := range b {
		if !digit(c) {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
