package ca

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mailseal/internal/durable"
)

// Replaced is what Replace leaves to be done.
type Replaced struct {
	// Folder is where the old CA is now, whole.
	Folder string
	// Reissue are the certificates that were valid: they have to be issued
	// and installed again, and the new CA's certificate wherever the old one
	// was trusted.
	Reissue []Record
}

// Replace puts the CA of a folder aside and makes a new one in its place. The
// old one is renamed, not changed; what the new one is told wrongly is found
// before that, and if making it fails the old one comes back.
func Replace(dir string, o InitOptions) (*CA, Replaced, error) {
	c, result, err := replace(dir, o)
	if err != nil {
		return nil, result, fmt.Errorf("replace CA %s: %w", dir, err)
	}
	return c, result, nil
}

func replace(dir string, o InitOptions) (*CA, Replaced, error) {
	var result Replaced
	if _, _, err := o.check(); err != nil {
		return nil, result, refusal{err}
	}
	old, err := Open(dir, OpenOptions{WithoutKey: true, Now: o.Now})
	if err != nil {
		return nil, result, err
	}
	if _, err := opensslConf(old.dir, o.Settings); err != nil {
		return nil, result, refusal{err}
	}
	if result.Reissue, err = old.List(Query{Status: Valid, Details: true}); err != nil {
		return nil, result, err
	}
	// Whoever waits for the old folder's lock finds that it is gone.
	old.writing.Lock()
	defer old.writing.Unlock()
	lock, err := old.lock()
	if err != nil {
		return nil, result, err
	}
	defer lock.Close()
	result.Folder = old.dir + ".replaced-" + old.now().UTC().Format("20060102T150405Z")
	if exists(result.Folder) {
		return nil, result, fmt.Errorf("%s is there already", result.Folder)
	}
	if err := os.Rename(old.dir, result.Folder); err != nil {
		return nil, result, err
	}
	if err := durable.SyncDir(filepath.Dir(old.dir)); err != nil {
		return nil, result, err
	}
	c, err := Init(dir, o)
	if err != nil {
		return nil, result, errors.Join(err, putBack(old.dir, result.Folder))
	}
	return c, result, c.locked(func(*authority) error {
		return c.audit("replace", o.By, map[string]string{"old": result.Folder, "reissue": fmt.Sprint(len(result.Reissue)), "at": old.now().Format(time.RFC3339)})
	})
}

// putBack takes what Init has left away, which never was a CA, and renames the
// old folder again.
func putBack(dir, aside string) error {
	if exists(filepath.Join(dir, initFile)) || !exists(filepath.Join(dir, certFile)) {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := os.Rename(aside, dir); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(dir))
}
