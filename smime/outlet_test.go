package smime

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mailseal/internal/message"
)

var errTest = errors.New("no more")

// limited takes so many bytes and then fails, or panics.
type limited struct {
	bytes.Buffer
	most  int
	panic bool
}

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > l.most {
		if l.panic {
			panic("boom")
		}
		return 0, errTest
	}
	return l.Buffer.Write(p)
}

// Large content is written from a goroutine; whatever happens there, the
// caller learns of it, and nothing stays behind.
func TestContentIsWrittenWhole(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, size := range []int{0, 1, blockSize, 3*blockSize + 5, queueFrom, queueFrom + 7*blockSize + 1} {
		data := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		body := message.Bytes(data)
		var w limited
		w.most = size
		if n, err := io.Copy(&w, newStream(body, nil)); err != nil || n != int64(size) || !bytes.Equal(w.Bytes(), data) {
			t.Errorf("%d bytes: %d written, %v", size, n, err)
		}
		got, err := io.ReadAll(struct{ io.Reader }{newStream(body, nil)})
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %d read, %v", size, len(got), err)
		}
		if size == 0 {
			continue
		}
		if _, err := io.Copy(&limited{most: size - 1}, newStream(body, nil)); !errors.Is(err, errTest) {
			t.Errorf("%d bytes: a writer that fails: %v", size, err)
		}
		check := func(p []byte) error { return errTest }
		if _, err := io.Copy(io.Discard, newStream(body, check)); !errors.Is(err, errTest) {
			t.Errorf("%d bytes: a check that fails: %v", size, err)
		}
		if _, err := io.ReadAll(struct{ io.Reader }{newStream(body, check)}); !errors.Is(err, errTest) {
			t.Errorf("%d bytes: a check that fails a reader: %v", size, err)
		}
	}
}

func TestPanicOfTheWriterGoesOffWhereItIsRecovered(t *testing.T) {
	defer goleak.VerifyNone(t)
	defer func() {
		if v, ok := recover().(string); !ok || !strings.Contains(v, "boom") || !strings.Contains(v, "outlet_test.go") {
			t.Errorf("recovered %v", v)
		}
	}()
	io.Copy(&limited{most: queueFrom / 2, panic: true}, newStream(message.Bytes(make([]byte, 2*queueFrom)), nil))
	t.Error("nothing happened")
}

func TestPanicOfTheReaderLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	defer func() {
		if v := recover(); v != "boom" {
			t.Errorf("recovered %v", v)
		}
	}()
	left := queueFrom / blockSize
	check := func([]byte) error {
		if left--; left == 0 {
			panic("boom")
		}
		return nil
	}
	io.Copy(io.Discard, newStream(message.Bytes(make([]byte, 2*queueFrom)), check))
	t.Error("nothing happened")
}
