package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	milterlib "github.com/emersion/go-milter"

	"mailseal/internal/message"
)

// A plan is the edits of a verdict as the packets that will be sent, checked:
// all that can be wrong with an edit is found before the first byte goes out,
// because a mail that was half edited may be delivered as it is. Its order is
// the one that both MTAs understand alike:
//
//  1. header fields, which are counted as received and so come before any is
//     inserted;
//  2. the body in adjacent chunks: Postfix takes a second run of them for an
//     error;
//  3. the sender, recipients, then fields on top;
//  4. quarantine, next to the answer.
type plan struct {
	head    []byte
	replace bool
	body    message.Body
	tail    []byte
}

// Limits of a field that we write. Longer lines are cut by sendmail (at 2 KB)
// and by the next hop (RFC 5322 section 2.1.1), longer fields by Postfix.
const (
	maxFieldLine = 998
	maxField     = 60000
)

// newPlan checks the edits of a verdict on a mail.
func newPlan(v message.Verdict, m *message.Message, sendmail bool) (*plan, error) {
	p := &plan{}
	if v.Action != message.Accept && v.Action != message.Quarantine {
		return p, nil
	}
	var fields fieldEdits
	var tops []message.Field
	for _, e := range v.Edits {
		var err error
		switch e := e.(type) {
		case message.SetField:
			err = fields.set(e.Field)
		case message.DropField:
			err = fields.drop(e)
		case message.AddField:
			tops, err = append(tops, e.Field), checkField(e.Field)
		case message.ReplaceBody:
			err = p.setBody(e.Body)
		case message.DropRcpt:
			err = p.dropRcpt(e.Address)
		case message.AddRcpt:
			err = p.addRcpt(e.Recipient)
		case message.ReturnHeaders:
			p.tail = append(p.tail, returnHeaders(m.Envelope, sendmail)...)
		default:
			err = fmt.Errorf("unknown edit %T", e)
		}
		if err != nil {
			return nil, err
		}
	}
	p.head = fields.packets(m.Header)
	for _, f := range tops {
		// Index 0 is above the MTA's own Received in both MTAs. The later
		// of two fields on top stands above the earlier.
		p.tail = appendField(p.tail, byte(milterlib.ActInsertHeader), 0, f.Name(), wireValue(f.Value()))
	}
	if v.Action == message.Quarantine {
		reason := oneLine(v.Reply.Text)
		if reason == "" {
			reason = "held by policy"
		}
		p.tail = appendPacket(p.tail, byte(milterlib.ActQuarantine), reason, "\x00")
	}
	return p, nil
}

func (p *plan) setBody(b message.Body) error {
	if b == nil {
		return errors.New("replace body: no body")
	}
	if p.replace {
		return errors.New("replace body: twice in one verdict")
	}
	p.replace, p.body = true, b
	return nil
}

func (p *plan) dropRcpt(address string) error {
	if err := checkAddress(address); err != nil {
		return fmt.Errorf("drop recipient: %w", err)
	}
	p.tail = appendPacket(p.tail, byte(milterlib.ActDelRcpt), "<", address, ">\x00")
	return nil
}

// addRcptArgs is SMFIR_ADDRCPT_PAR, for which the library has no name.
const addRcptArgs = byte('2')

func (p *plan) addRcpt(r message.Recipient) error {
	if err := checkAddress(r.Address); err != nil {
		return fmt.Errorf("add recipient: %w", err)
	}
	for _, a := range r.Args {
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fmt.Errorf("add recipient: parameter %q", a)
		}
	}
	if len(r.Args) == 0 {
		p.tail = appendPacket(p.tail, byte(milterlib.ActAddRcpt), "<", r.Address, ">\x00")
		return nil
	}
	p.tail = appendPacket(p.tail, addRcptArgs, "<", r.Address, ">\x00", strings.Join(r.Args, " "), "\x00")
	return nil
}

// checkAddress refuses what would end the string or the angle brackets.
func checkAddress(a string) error {
	if a == "" || len(a) > 1000 || strings.ContainsFunc(a, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '<' || r == '>'
	}) {
		return fmt.Errorf("%q is no address", a)
	}
	return nil
}

// checkField refuses what an MTA would misunderstand. Postfix takes a NUL for a
// broken milter, sendmail drops the edit without a word; a line that is no fold
// gets a blank put before it by both, each another.
func checkField(f message.Field) error {
	name := f.Name()
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return fmt.Errorf("header field with the name %q", name)
	}
	if len(f.Raw()) > maxField {
		return fmt.Errorf("header field %s has %d bytes, more than %d", name, len(f.Raw()), maxField)
	}
	value := strings.ReplaceAll(f.Value(), "\r\n", "\n")
	if strings.ContainsAny(value, "\x00\r") {
		return fmt.Errorf("header field %s: NUL or bare CR in its value", name)
	}
	for i, line := range strings.Split(value, "\n") {
		length := len(line)
		if i == 0 {
			length += len(name) + 1
		} else if line == "" || line[0] != ' ' && line[0] != '\t' {
			return fmt.Errorf("header field %s: line %d is not folded", name, i+1)
		}
		if length > maxFieldLine {
			return fmt.Errorf("header field %s: line %d has %d bytes, more than %d", name, i+1, length, maxFieldLine)
		}
	}
	return nil
}

// wireValue is a value as the protocol has it: LF at folds, blanks as they are.
// An empty one would mean deletion.
func wireValue(value string) string {
	if value == "" {
		return " "
	}
	return strings.ReplaceAll(value, "\r\n", "\n")
}

// fieldEdits are the changes to received fields, by name in order of mention.
type fieldEdits []*fieldEdit

type fieldEdit struct {
	name  string
	set   *message.Field
	drops []int // after set, if there is one
}

// of returns the edit of a name, which goes to the end when it is last.
func (es *fieldEdits) of(name string, last bool) *fieldEdit {
	e := &fieldEdit{name: name}
	if i := slices.IndexFunc(*es, func(e *fieldEdit) bool { return strings.EqualFold(e.name, name) }); i >= 0 {
		if !last {
			return (*es)[i]
		}
		e = (*es)[i]
		*es = slices.Delete(*es, i, i+1)
	}
	*es = append(*es, e)
	return e
}

func (es *fieldEdits) set(f message.Field) error {
	if err := checkField(f); err != nil {
		return err
	}
	*es.of(f.Name(), true) = fieldEdit{name: f.Name(), set: &f}
	return nil
}

func (es *fieldEdits) drop(d message.DropField) error {
	if err := checkField(message.NewField(d.Name, "")); err != nil {
		return fmt.Errorf("drop: %w", err)
	}
	if d.Occurrence < 1 {
		return fmt.Errorf("drop header field %s: occurrence %d", d.Name, d.Occurrence)
	}
	e := es.of(d.Name, false)
	e.drops = append(e.drops, d.Occurrence)
	return nil
}

// packets writes SMFIR_CHGHEADER for every change. Occurrences count from 1 and
// go from the last to the first: Postfix renumbers what is left at once,
// sendmail never does, and only this order means the same to both. What is not
// there is not dropped: sendmail would take a field of its own in its place.
func (es fieldEdits) packets(h message.Header) []byte {
	const change = byte(milterlib.ActChangeHeader)
	var out []byte
	for _, e := range es {
		there := h.All(e.name)
		n := len(there)
		doomed := slices.Clone(e.drops)
		if e.set != nil {
			// What it says already need not be said: every edit has Postfix go
			// through its queue file.
			value := wireValue(e.set.Value())
			same := n > 0 && wireValue(there[0].Value()) == value
			if !same && (n == 0 || !slices.Contains(e.drops, 1)) {
				// Where there is none this adds it at the end of the header.
				out = appendField(out, change, 1, e.name, value)
			}
			for i := 2; i <= n; i++ {
				doomed = append(doomed, i)
			}
		}
		slices.Sort(doomed)
		for _, i := range slices.Backward(slices.Compact(doomed)) {
			if i <= n {
				out = appendField(out, change, i, e.name, "")
			}
		}
	}
	return out
}

// appendField writes a packet that holds an index, a name and a value.
func appendField(out []byte, code byte, index int, name, value string) []byte {
	var i [4]byte
	binary.BigEndian.PutUint32(i[:], uint32(index))
	return appendPacket(out, code, string(i[:]), name, "\x00", value, "\x00")
}

func appendPacket(out []byte, code byte, data ...string) []byte {
	length := 1
	for _, d := range data {
		length += len(d)
	}
	out = binary.BigEndian.AppendUint32(out, uint32(length))
	out = append(out, code)
	for _, d := range data {
		out = append(out, d...)
	}
	return out
}
