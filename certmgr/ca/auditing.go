package ca

import (
	"errors"
	"fmt"
	"strings"

	"mailseal/certmgr/ca/index"
	"mailseal/internal/audit"
)

// audit adds an event. The folder is locked.
func (c *CA) audit(what, by string, details map[string]string) error {
	return audit.Append(c.path(auditFile), audit.Event{At: c.now(), What: what, By: by, Details: details})
}

// auditOnce adds an event, known by one of its details, where a crash came
// before it: it would have been the last one.
func (c *CA) auditOnce(what, key, value string, add func() error) error {
	last, err := audit.Last(c.path(auditFile))
	if err != nil {
		return err
	}
	if last.What == what && last.Details[key] == value {
		return nil
	}
	return add()
}

func (c *CA) auditIssue(e index.Entry, d Details) error {
	details := map[string]string{"serial": e.Serial, "subject": index.Readable(e.Subject), "profile": d.Profile}
	if len(d.Names) > 0 {
		details["names"] = strings.Join(d.Names, " ")
	}
	if d.Renews != "" {
		details["renews"] = d.Renews
	}
	return c.audit("issue", d.By, details)
}

// refuse puts a refusal on record, and returns it. Other errors are only
// returned.
func (c *CA) refuse(what, by string, details map[string]string, err error) error {
	if !refused(err) {
		return err
	}
	all := map[string]string{"what": what, "reason": strings.TrimPrefix(err.Error(), what+": ")}
	for k, v := range details {
		if v != "" {
			all[k] = v
		}
	}
	return errors.Join(err, c.locked(func(*authority) error { return c.audit("refuse", by, all) }))
}

// Refuse puts on record that somebody was refused something before it came to
// an operation of the CA, which records by itself. It returns the reason.
func (c *CA) Refuse(what, by string, reason error) error {
	return c.refuse(what, by, nil, refusal{reason})
}

// An Audit is what the audit file says, checked.
type Audit struct {
	// Head is the last line: a copy of it kept elsewhere proves later that
	// nothing before it was changed.
	Head audit.Head
	// Issued, Revoked and Refused are how many events of these there are.
	Issued, Revoked, Refused int
	// Problems are what the file does not say or says wrongly, compared with
	// the folder, as "2F is in index.txt, and no line says who issued it".
	// openssl ca writes no audit file, so what it did stands here too.
	Problems []string
}

// Audit checks the audit file's chain from its begin, calls do for each event
// where do is not nil, and compares what it says with the database. The error
// is audit.ErrBroken, with file and line, where the chain is broken.
func (c *CA) Audit(do func(audit.Event) error) (Audit, error) {
	var result Audit
	// Writers stay out while two files are compared.
	lock, err := c.reading()
	if err != nil {
		return result, err
	}
	defer lock.Close()
	issued, revoked := map[string]bool{}, map[string]bool{}
	result.Head, err = audit.Check(c.path(auditFile), func(e audit.Event) error {
		switch serial := e.Details["serial"]; e.What {
		case "issue":
			issued[serial] = true
			result.Issued++
		case "revoke":
			revoked[serial] = true
			result.Revoked++
		case "refuse":
			result.Refused++
		case "import":
			// What was there before is taken over with a line for each.
			for s := range strings.FieldsSeq(e.Details["serials"]) {
				issued[s] = true
			}
			for s := range strings.FieldsSeq(e.Details["revoked"]) {
				revoked[s] = true
			}
		case audit.Gap:
			result.Problems = append(result.Problems, fmt.Sprintf("line %d: lines up to %s were cut off before it", e.N, e.Details["lines"]))
		}
		if do == nil {
			return nil
		}
		return do(e)
	})
	if err != nil {
		return result, err
	}
	err = c.index.Each(func(e index.Entry) error {
		if !issued[e.Serial] {
			result.Problems = append(result.Problems, fmt.Sprintf("%s is in %s, and no line says who issued it", e.Serial, indexFile))
		}
		if e.Status == index.Revoked && !revoked[e.Serial] {
			result.Problems = append(result.Problems, fmt.Sprintf("%s is revoked in %s, and no line says by whom", e.Serial, indexFile))
		}
		if e.Status != index.Revoked && revoked[e.Serial] {
			result.Problems = append(result.Problems, fmt.Sprintf("%s was revoked, and %s does not say so", e.Serial, indexFile))
		}
		delete(issued, e.Serial)
		return nil
	})
	for serial := range issued {
		result.Problems = append(result.Problems, fmt.Sprintf("%s was issued, and %s does not have it", serial, indexFile))
	}
	return result, err
}
