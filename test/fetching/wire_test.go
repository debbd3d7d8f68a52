package fetching_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"mailseal/test/daemon"
)

// deliver hands a mail to the daemon as an MTA does, and returns the result that
// it writes into the header.
func deliver(t *testing.T, d *daemon.Daemon, mail []byte) string {
	t.Helper()
	c, err := d.Dial()
	ok(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(daemon.Patience))
	send := func(code byte, data string) {
		t.Helper()
		b := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
		_, err := c.Write(append(append(b, code), data...))
		ok(t, err)
	}
	hear := func() (byte, string) {
		t.Helper()
		for {
			var head [5]byte
			_, err := io.ReadFull(c, head[:])
			ok(t, err)
			rest := make([]byte, binary.BigEndian.Uint32(head[:])-1)
			_, err = io.ReadFull(c, rest)
			ok(t, err)
			if head[4] != 'p' {
				return head[4], string(rest)
			}
		}
	}
	send('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff") // all that Postfix offers
	hear()
	send('C', "far.example.org\x004\x00\x19"+daemon.Outside+"\x00")
	send('H', "far.example.org\x00")
	send('M', "<"+carol+">\x00")
	hear()
	send('R', "<alice@example.test>\x00")
	hear()
	header, body, _ := bytes.Cut(mail, []byte("\r\n\r\n"))
	for _, f := range strings.Split(strings.NewReplacer("\r\n ", "\n ", "\r\n\t", "\n\t").Replace(string(header)), "\r\n") {
		name, value, _ := strings.Cut(f, ":")
		send('L', name+"\x00"+value+"\x00")
	}
	send('N', "")
	send('B', string(body))
	send('E', "")
	result := ""
	for {
		code, text := hear()
		if (code == 'i' || code == 'h') && strings.Contains(text, "Authentication-Results\x00") {
			_, result, _ = strings.Cut(text, "Authentication-Results\x00")
		}
		if !strings.ContainsRune("mhib+-", rune(code)) {
			if code != 'a' && code != 'c' {
				t.Fatalf("the mail is answered with %q %q", code, text)
			}
			return strings.TrimRight(result, "\x00")
		}
	}
}
