package mtarig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
)

// submitUser stands for smmsp, which only a sendmail that is installed has: it
// owns nothing of ours, so what the submission program may do is what it may do
// without root.
const submitUser = "mail"

// Inject hands a mail to sendmail's submission program, as a program on the
// same machine does: with submit.cf it drops its rights, writes the mail into a
// queue of its own and sends it to the daemon over SMTP. The mail has LF line
// ends. When the daemon defers it, it stays in that queue, and that is no
// error.
func (s *Sendmail) Inject(m Mail) error {
	if err := s.configureSubmission(); err != nil {
		return fmt.Errorf("configure sendmail's submission program: %w", err)
	}
	args := append([]string{"-i", "-f", m.From, "--"}, m.To...)
	cmd := s.program("submit.cf", args...)
	_, err := s.command(bytes.NewReader(m.Data), cmd.Args[0], cmd.Args[1:]...)
	return err
}

// SubmitQueue lists the mails that the submission program still has.
func (s *Sendmail) SubmitQueue() ([]Entry, error) { return readQueue(s.submitQueueDir()) }

// FlushSubmitted has the submission program try its queue again, as the queue
// runner that every sendmail has beside its daemon does.
func (s *Sendmail) FlushSubmitted() error {
	cmd := s.program("submit.cf", "-q")
	_, err := s.command(nil, cmd.Args[0], cmd.Args[1:]...)
	return err
}

func (s *Sendmail) submitQueueDir() string { return s.path("clientmqueue") }

// configureSubmission makes submit.cf and its queue, once.
func (s *Sendmail) configureSubmission() error {
	err := os.Mkdir(s.submitQueueDir(), 0o770)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	uid, gid, err := idsOf(submitUser)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chown(s.submitQueueDir(), uid, gid), os.Chmod(s.submitQueueDir(), 0o770)); err != nil {
		return err
	}
	return s.generate("submit", s.submitMC())
}

// idsOf looks a user up.
func idsOf(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	return uid, gid, errors.Join(uerr, gerr)
}

// submitMC is sendmail's own submit.mc but for the places of files and the
// daemon's port.
func (s *Sendmail) submitMC() string {
	b, line, define := s.newMC()
	define("confCF_VERSION", "Submit")
	define("confDOMAIN_NAME", s.cfg.Hostname)
	define("confTIME_ZONE", "USE_TZ")
	define("confDONT_INIT_GROUPS", "True")
	define("confSERVICE_SWITCH_FILE", s.path("service.switch"))
	define("confCT_FILE", "-o /nonexistent")
	define("confDONT_BLAME_SENDMAIL", "TrustStickyBit")
	define("confRUN_AS_USER", submitUser)
	define("MSP_QUEUE_DIR", s.submitQueueDir())
	define("STATUS_FILE", "")
	define("RELAY_MAILER_ARGS", "TCP $h "+strconv.Itoa(s.port))
	line("FEATURE(`msp', `[127.0.0.1]')")
	return b.String()
}
