//go:build !linux

package spool

import (
	"errors"
	"os"
)

// nameless is Linux's.
func nameless(string) (*os.File, error) { return nil, errors.ErrUnsupported }
