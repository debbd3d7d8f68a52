// Package peercred tells who is at the other end of a Unix socket, as the kernel
// knows it: nobody can claim to be somebody else.
package peercred

import (
	"fmt"
	"net"
)

// UID returns the user id that the process at the other end had when it
// connected (unix(7) SO_PEERCRED, unix(4) LOCAL_PEERCRED).
func UID(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("ask who is at the other end: %w", err)
	}
	var id int
	var askErr error
	if err := raw.Control(func(fd uintptr) { id, askErr = uid(int(fd)) }); err != nil {
		return 0, fmt.Errorf("ask who is at the other end: %w", err)
	}
	if askErr != nil {
		return 0, fmt.Errorf("ask who is at the other end: %w", askErr)
	}
	return id, nil
}
