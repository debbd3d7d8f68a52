package certmgr

import (
	"fmt"
	"strings"

	"mailseal/certmgr/ca/index"
	"mailseal/certmgr/install"
)

// told is a plan as it would be carried out: with the pair that is kept, where that
// will do, and with what is known of the CA.
func (k *Keeper) told(t Target, v view, p install.Plan) install.Plan {
	if id, ok := k.kept(t, v); ok && p.Issue {
		for i, step := range p.Steps {
			if strings.HasPrefix(step, "issue a certificate") {
				p.Issue = false
				p.Steps[i] = fmt.Sprintf("take the key and certificate that are kept in %s, serial %s", k.path("targets", t.Name+".pem"), index.Serial(id.Certificate.SerialNumber))
			}
		}
	}
	if t.byCA() && v.err != nil {
		p.Notes = append(p.Notes, v.err.Error())
	}
	if k.owes(t) {
		p.Notes = append(p.Notes, "its files were changed, and the server was not seen to serve them yet")
	}
	return p
}
