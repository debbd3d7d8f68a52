package rig

import (
	"io"
	"net"
	"strings"
	"testing"
)

// TalkerEnd is where a Talker gives up, in octets.
const TalkerEnd = 1 << 30

// Talker is an SMTP server that never ends its greeting. When its client has gone,
// or at TalkerEnd, said has how many octets it took.
func Talker(t testing.TB) (addr string, said <-chan int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	taken := make(chan int, 1)
	go func() {
		n := 0
		if c, err := ln.Accept(); err == nil {
			for err == nil && n < TalkerEnd {
				var more int
				more, err = io.WriteString(c, strings.Repeat("220-"+strings.Repeat("a", 500)+"\r\n", 100))
				n += more
			}
			c.Close()
		}
		taken <- n
	}()
	return ln.Addr().String(), taken
}
