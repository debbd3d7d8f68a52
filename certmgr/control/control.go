// Package control is how commands and the web ask the process that has the
// CA's key: HTTP and JSON over a Unix socket.
//
//	POST /v1/issue   {"profile":"host","hosts":["mx.example.jp"],...}
//	200              {"certificate":"MII...","key":"MII...",...}
//	403              {"error":"revoke: only root may","kinds":["forbidden"]}
//
// The kernel tells who is at the other end. Root and the user that the process
// runs as may do everything; the user of the web may look, revoke, have a new
// list made, and have certificates of the profile host issued for the hosts
// that the configuration names, for keys of its own. Nobody else may do
// anything. Who may not is told so, and the CA's audit file has it. No private
// key goes to anybody but root.
//
// What touches the folder as a whole (making a CA, taking one over, renewing its
// own certificate, checking the audit file) has no operation here: root does it
// in the folder, and the CA sees it there.
package control

import (
	"errors"
	"time"
)

var (
	// ErrNotRunning: nobody answers at the socket.
	ErrNotRunning = errors.New("certmgr does not run")
	// ErrForbidden: not this user.
	ErrForbidden = errors.New("not permitted")
	// ErrBusy: too much was asked for; later it is to be had.
	ErrBusy = errors.New("too many requests")
)

// Bounds of a connection and of what is said on it.
const (
	maxRequest  = 1 << 20 // of its body; a request has up to 1000 names
	maxHeader   = 8 << 10
	maxAnswer   = 256 << 20 // a list of a million certificates
	slowRequest = 10 * time.Second
	slowAnswer  = 3 * time.Minute // RSA keys of 4096 bits and the folder's lock take long
	idle        = time.Minute
	// longPoll is how long a question for a newer edition waits.
	longPoll = 25 * time.Second
	// largeEdition is how many answers count as all there are: a press tells of
	// its work 500 at a time.
	largeEdition = 2000

	maxConnections = 64 // of all
	maxOfOthers    = 16 // of each user but root
)
