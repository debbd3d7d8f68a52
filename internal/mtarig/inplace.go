package mtarig

import (
	"os/exec"
	"strings"
)

// inPlace makes a command that runs a program of an unpacked tree at the place
// that it was built for, where it looks for its parts: in a mount namespace of
// its own the tree's /usr lies over the machine's. setup is a piece of shell
// that runs before, with dir as $1; "" for none.
func inPlace(root, setup, dir, program string, args ...string) *exec.Cmd {
	script := "shift 2\nexec \"$@\""
	if root != "/" {
		script = "mount -t overlay overlay -o ro,lowerdir=\"$2/usr:/usr\" /usr || exit\n" + script
	}
	if setup != "" {
		script = "{ " + setup + "; } || exit\n" + script
	}
	argv := append([]string{"--mount", "--propagation", "private", "--", "/bin/sh", "-c", script, "in-place", dir, root, program}, args...)
	return exec.Command("unshare", argv...)
}

// shellWords writes words so that a shell reads them as they are.
func shellWords(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
