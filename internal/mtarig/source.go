package mtarig

import (
	"context"
	"os/exec"
	"path/filepath"
)

// SMTPSource makes a command that runs smtp-source, Postfix's load generator.
func (t Tools) SMTPSource(ctx context.Context, args ...string) (*exec.Cmd, error) {
	if err := t.Postfix(); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(t.postfix, "usr/sbin/smtp-source"), args...)
	if t.postfix != "/" {
		cmd.Env = append(cmd.Environ(), "LD_LIBRARY_PATH="+filepath.Join(t.postfix, "usr/lib/postfix"))
	}
	return cmd, nil
}

// OpenDKIMProgram makes a command that runs OpenDKIM with arguments of the
// caller's: for who looks at the process itself.
func (t Tools) OpenDKIMProgram(args ...string) (*exec.Cmd, error) {
	if err := t.OpenDKIM(); err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(t.opendkim, "usr/sbin/opendkim"), args...)
	cmd.Env = append(cmd.Environ(), unpackedLibraries(t.opendkim)...)
	return cmd, nil
}
