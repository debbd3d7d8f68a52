package cutter_test

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/test/cutter"
)

// packet makes a packet with a short length.
func packet(code byte, data string) []byte {
	return append([]byte{0, 0, 0, byte(1 + len(data)), code}, data...)
}

// milter answers every end of a message with an edit and an acceptance, and
// every MAIL with a continue. It hands over what it got when its connection
// ends.
func milter(t *testing.T) (address string, got <-chan []byte) {
	t.Helper()
	address = filepath.Join(t.TempDir(), "m")
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	all := make(chan []byte, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				var b bytes.Buffer
				head := make([]byte, 5)
				for {
					n, err := io.ReadFull(conn, head)
					b.Write(head[:n])
					if err != nil {
						break
					}
					rest := make([]byte, head[3]-1)
					n, err = io.ReadFull(conn, rest)
					b.Write(rest[:n])
					if err != nil {
						break
					}
					switch head[4] {
					case 'M':
						conn.Write(packet('c', ""))
					case 'E':
						conn.Write(append(packet('h', "X-Edit\x00 1\x00"), packet('a', "")...))
					}
				}
				all <- b.Bytes()
			}()
		}
	}()
	return address, all
}

// An MTA's words for one mail, and where to wait for an answer.
var words = []struct {
	packet []byte
	answer []byte
}{
	{packet('D', "M{i}\x001\x00"), nil},
	{packet('M', "<a@example.test>\x00"), packet('c', "")},
	{packet('L', "Subject\x00 1\x00"), nil},
	{packet('L', "Subject\x00 2\x00"), nil},
	{packet('E', ""), append(packet('h', "X-Edit\x00 1\x00"), packet('a', "")...)},
}

// talk plays the MTA and returns all that it got from the milter until the
// talk was over or cut.
func talk(t *testing.T, address string) []byte {
	t.Helper()
	conn, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	var got []byte
	for _, w := range words {
		if _, err := conn.Write(w.packet); err != nil {
			break
		}
		b := make([]byte, len(w.answer))
		n, err := io.ReadFull(conn, b)
		got = append(got, b[:n]...)
		if err != nil {
			break
		}
	}
	return got
}

func TestCutter(t *testing.T) {
	var said, answered []byte
	for _, w := range words {
		said = append(said, w.packet...)
		answered = append(answered, w.answer...)
	}
	upTo := func(all []byte, part string) []byte {
		i := strings.Index(string(all), part)
		if i < 0 {
			t.Fatalf("%q is not in %q", part, all)
		}
		return all[:i]
	}
	second := string(packet('L', "Subject\x00 2\x00"))
	tests := []struct {
		name           string
		side           cutter.Side
		code           byte
		nth            int
		action         cutter.Action
		toMilter, toUs []byte
	}{
		{"nothing", 0, 0, 0, cutter.Pass, said, answered},
		{"mta macros-of-mail 0", cutter.MTA, 'D', 0, cutter.Cut, nil, nil},
		{"mta mail 0", cutter.MTA, 'M', 0, cutter.Cut, upTo(said, string(packet('M', "<a@example.test>\x00"))), nil},
		{"mta header 1", cutter.MTA, 'L', 1, cutter.Cut, upTo(said, second), packet('c', "")},
		{"mta header 1", cutter.MTA, 'L', 1, cutter.Break, append(upTo(said, second), second[:len(second)/2]...), packet('c', "")},
		{"milter continue 0", cutter.Milter, 'c', 0, cutter.Cut, upTo(said, string(packet('L', "Subject\x00 1\x00"))), nil},
		{"milter add-header 0", cutter.Milter, 'h', 0, cutter.Cut, said, packet('c', "")},
		{"milter accept 0", cutter.Milter, 'a', 0, cutter.Cut, said, upTo(answered, string(packet('a', "")))},
		{"milter accept 0", cutter.Milter, 'a', 0, cutter.Break, said, answered[:len(answered)-3]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address, got := milter(t)
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "c"))
			if err != nil {
				t.Fatal(err)
			}
			c := cutter.Serve(l, cutter.To("unix", address))
			defer c.Close()
			c.Watch(func(p cutter.Packet) cutter.Action {
				if p.Side != tt.side || p.Code != tt.code || p.Nth != tt.nth {
					return cutter.Pass
				}
				if p.String() != tt.name {
					t.Errorf("packet is called %q", p)
				}
				return tt.action
			})
			if got := talk(t, l.Addr().String()); !bytes.Equal(got, tt.toUs) {
				t.Errorf("MTA got %q, want %q", got, tt.toUs)
			}
			if got := <-got; !bytes.Equal(got, tt.toMilter) {
				t.Errorf("milter got %q, want %q", got, tt.toMilter)
			}
		})
	}
}

// Without a milter the MTA's connection ends.
func TestNobodyBehind(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "c"))
	if err != nil {
		t.Fatal(err)
	}
	c := cutter.Serve(l, cutter.To("unix", filepath.Join(t.TempDir(), "none")))
	if got := talk(t, l.Addr().String()); len(got) > 0 {
		t.Errorf("MTA got %q", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
