package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestKeeper(t *testing.T) {
	for _, said := range []bool{true, false} {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		k, err := keep(dir)
		if err != nil {
			t.Fatal(err)
		}
		milter := exec.Command("sleep", "600")
		milter.Dir = dir
		if err := milter.Start(); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() {
			milter.Wait()
			close(gone)
		}()
		if said {
			if err := k.release(); err != nil {
				t.Error(err)
			}
			select {
			case <-gone:
				t.Error("it ended a process although nothing was wrong")
			default:
			}
			milter.Process.Kill()
			<-gone
			continue
		}
		k.leash.Close() // as when this process is killed
		select {
		case <-gone:
		case <-time.After(patience):
			milter.Process.Kill()
			t.Fatal("a milter outlived the bench")
		}
		k.cmd.Wait()
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("the folder is there still: %v", err)
		}
	}
}
