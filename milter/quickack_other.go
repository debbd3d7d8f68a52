//go:build !linux

package milter

import "net"

// quickAck does nothing: the other systems have no such option. Their delayed
// acknowledgement is for the administrator to turn off
// (net.inet.tcp.delayed_ack); a Unix socket has none.
func quickAck(net.Conn) func() { return func() {} }
