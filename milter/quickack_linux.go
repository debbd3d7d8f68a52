package milter

import (
	"net"

	"golang.org/x/sys/unix"
)

// quickAck returns what to do before each read. sendmail writes macros and the
// command they are for as two small segments; Nagle's algorithm holds the
// second until we acknowledge the first, which Linux delays by 40 ms, five
// times a mail. TCP_QUICKACK (tcp(7)) is not permanent, so it is set each
// time.
func quickAck(c net.Conn) func() {
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return func() {}
	}
	return func() {
		// Slower without, not wrong: errors do not matter.
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
		})
	}
}
