package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailseal/internal/mtarig"
)

// An mta is a private instance with a milter or without.
type mta interface {
	Dir() string
	Addr() string
	Log() string
	Start() error
	Close() error
	// await waits until n mails have come in since the last call, and has the
	// instance empty for the next. More are as wrong as fewer.
	await(n int) error
	// deliver has mails that wait sent to the sink.
	deliver() error
}

// newMTA prepares an instance. Mail of a measurement goes nowhere: Postfix
// discards it, sendmail only queues it. So what is measured is the way in,
// which is where the milter is. Mail for nearDomain is delivered to the sink.
func newMTA(kind string, cfg mtarig.Config, sink string) (mta, error) {
	if kind == "sendmail" {
		cfg.Relay = sink
		cfg.Extra = []string{"define(`confDELIVERY_MODE', `queueonly')dnl"}
		s, err := mtarig.NewSendmail(cfg)
		return &sendmail{s}, err
	}
	cfg.Transport = map[string]string{nearDomain: sink}
	cfg.Extra = []string{
		"default_transport = discard:",
		"in_flow_delay = 0", // no brake when mail comes in faster than it goes out
		"max_idle = 1h",     // processes stay from round to round
	}
	p, err := mtarig.NewPostfix(cfg)
	return &postfix{Postfix: p}, err
}

type postfix struct {
	*mtarig.Postfix
	seen int64 // of the log, in bytes
}

var _ mta = (*postfix)(nil)

func (p *postfix) await(n int) error {
	log := filepath.Join(p.Dir(), "maillog")
	if err := awaitLines(log, p.seen, n, " status=sent "); err != nil {
		return err
	}
	info, err := os.Stat(log)
	if err != nil {
		return err
	}
	p.seen = info.Size()
	return nil
}

func (p *postfix) deliver() error { return nil } // it does of its own accord

type sendmail struct{ *mtarig.Sendmail }

var _ mta = (*sendmail)(nil)

func (s *sendmail) await(n int) error {
	queue := filepath.Join(s.Dir(), "mqueue")
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		files, err := os.ReadDir(queue)
		if err != nil {
			return err
		}
		got := 0
		for _, f := range files {
			if strings.HasPrefix(f.Name(), "qf") {
				got++
			}
		}
		if got != n && time.Now().After(deadline) {
			return fmt.Errorf("%d mails in the queue, want %d", got, n)
		}
		if got != n {
			continue
		}
		for _, f := range files {
			if err := os.Remove(filepath.Join(queue, f.Name())); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		return nil
	}
}

func (s *sendmail) deliver() error { return s.Flush() }
