package verdict

import (
	"fmt"

	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
)

// maxFrom bounds the From fields that are read: one is right, two are wrong.
const maxFrom = 20

// Authors reads the addresses of every From field (RFC 5322 section 3.6.2 allows
// one field); problem says why they cannot be read, or why readers may see
// others.
func Authors(h message.Header) (from []mailaddr.Address, problem string) {
	return addresses(h, "From")
}

// sender reads the address of the Sender field. There is none where the field is
// not what RFC 5322 section 3.6.2 allows.
func sender(h message.Header) (a mailaddr.Address, ok bool) {
	as, problem := addresses(h, "Sender")
	if problem != "" || len(as) != 1 {
		return a, false
	}
	return as[0], true
}

func addresses(h message.Header, name string) (as []mailaddr.Address, problem string) {
	fields := h.All(name)
	if len(fields) == 0 {
		return nil, "mail has no " + name
	}
	if len(fields) > maxFrom {
		fields, problem = fields[:maxFrom], fmt.Sprintf("mail has more than %d %s fields", maxFrom, name)
	}
	for _, f := range fields {
		list, err := mailaddr.ParseList(f.Text())
		if err != nil {
			problem = name + ": " + err.Error()
			continue
		}
		as = append(as, list...)
	}
	for _, f := range h {
		if len(f.Hidden(name)) > 0 {
			problem = name + ": there is another one that only some readers see"
		}
	}
	return as, problem
}
