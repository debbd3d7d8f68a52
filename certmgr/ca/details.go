package ca

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
)

// Details are what the folder knows of a certificate besides the certificate:
// newcerts/SERIAL.json. openssl ca leaves none.
type Details struct {
	Profile string   `json:"profile,omitempty"`
	Names   []string `json:"names,omitempty"` // the subject alternative names
	Memo    string   `json:"memo,omitempty"`
	By      string   `json:"by,omitempty"`     // who asked for it
	Renews  string   `json:"renews,omitempty"` // the serial of the one before
}

func (d Details) encode() ([]byte, error) {
	b, err := json.Marshal(d)
	return append(b, '\n'), err
}

// details reads those of a certificate; none are no error.
func (c *CA) details(serial *big.Int) (Details, error) {
	var d Details
	path := c.newCert(serial, "json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}
