package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mailseal/internal/durable"
)

// Bounds of what is kept.
const (
	maxFiles     = 1000
	maxFileBytes = 256 << 20
	maxHeld      = 16 << 20 // octets in memory beside the files
	maxHeldAlone = 64 << 20 // where there are no files
	maxHead      = 32 << 10 // octets of a file before the body
)

// maxSkew is how far other clocks may be ahead.
const maxSkew = 5 * time.Minute

// An entry is something that was fetched. Nobody may change it.
type entry struct {
	head
	body    []byte
	checked time.Time // the server said then that this is the newest
	doubted bool      // its signature could not be verified
}

// A head is what a file says of its body, as JSON in its first line.
type head struct {
	validity
	URL            string
	ETag, Modified string // HTTP's validators
	SHA256         string // of the body
}

// fresh reports whether the entry may be answered.
func (e *entry) fresh(now time.Time) bool {
	return e != nil && now.Before(e.Until) && !e.From.After(now.Add(maxSkew))
}

// due reports whether it is time to ask for something newer: when three
// quarters of its life are over, and once a day, as a CA publishes a list before
// its time when much has happened; and then not with each mail.
func (e *entry) due(now time.Time) bool {
	if e.doubted {
		return !now.Before(e.checked.Add(time.Minute))
	}
	life := e.Until.Sub(e.From)
	at := e.From.Add(life / 4 * 3)
	if daily := e.checked.Add(24 * time.Hour); daily.Before(at) {
		at = daily
	}
	if soonest := e.checked.Add(min(max(life/16, time.Minute), 6*time.Hour)); soonest.After(at) {
		at = soonest
	}
	// A clock that was set back says nothing about when we asked.
	return !now.Before(at) || e.checked.After(now.Add(maxSkew))
}

// A cache holds entries in files, and those in use in memory too.
type cache struct {
	dir      string // "" for memory alone
	readOnly bool
	limit    cacheLimit

	// files is held by who writes files. Reading needs no lock, and whoever
	// reads never waits for the disk of who writes.
	files sync.Mutex

	mu   sync.Mutex // guards all below
	held map[string]*holding
	size int64  // octets in held
	tick uint64 // counts uses
}

type cacheLimit struct {
	files       int
	bytes, held int64
}

type holding struct {
	*entry
	used uint64
}

func newCache(dir string, readOnly bool) *cache {
	c := &cache{dir: dir, readOnly: readOnly, held: make(map[string]*holding)}
	c.limit = cacheLimit{files: maxFiles, bytes: maxFileBytes, held: maxHeld}
	if dir == "" || readOnly {
		c.limit.held = maxHeldAlone
	}
	return c
}

func (c *cache) path(key string) string { return filepath.Join(c.dir, key) }

// get returns what there is of a key, fresh or not, or nil.
func (c *cache) get(it item, maxSize int64) *entry {
	if e := c.inMemory(it.key); e != nil || c.dir == "" {
		return e
	}
	// What cannot be read is fetched again and replaced.
	e, err := readEntry(c.path(it.key), it, maxSize)
	if err != nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.held[it.key]; h != nil {
		return h.entry // which came meanwhile, and is newer
	}
	c.hold(it.key, e)
	return e
}

func (c *cache) inMemory(key string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.held[key]
	if h == nil {
		return nil
	}
	c.tick++
	h.used = c.tick
	return h.entry
}

// put keeps an entry. It is kept in memory even with an error.
func (c *cache) put(key string, e *entry) error {
	c.mu.Lock()
	c.hold(key, e)
	c.mu.Unlock()
	if c.dir == "" || c.readOnly {
		return nil
	}
	sum := sha256.Sum256(e.body)
	h := e.head
	h.SHA256 = hex.EncodeToString(sum[:])
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	c.files.Lock()
	defer c.files.Unlock()
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if err := durable.WriteFile(c.path(key), slices.Concat(line, []byte("\n"), e.body), 0o600); err != nil {
		return err
	}
	return errors.Join(os.Chtimes(c.path(key), e.checked, e.checked), c.trim())
}

// touch notes that the server has nothing newer.
func (c *cache) touch(key string, e *entry, now time.Time) *entry {
	renewed := *e
	renewed.checked = now
	c.mu.Lock()
	c.hold(key, &renewed)
	c.mu.Unlock()
	if c.dir != "" && !c.readOnly {
		_ = os.Chtimes(c.path(key), now, now) // only the next start would ask once too often
	}
	return &renewed
}

// doubt marks an entry, if it still has this body. Nothing is written: who reads
// the file after a restart finds out anew.
func (c *cache) doubt(key string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.held[key]
	if h == nil || h.doubted || !bytes.Equal(h.body, body) {
		return
	}
	doubted := *h.entry
	doubted.doubted = true
	h.entry = &doubted
}

// hold keeps an entry in memory, in the place of those that were not used for
// the longest time. c.mu is held.
func (c *cache) hold(key string, e *entry) {
	if old := c.held[key]; old != nil {
		c.size -= int64(len(old.body))
	}
	c.tick++
	c.held[key] = &holding{entry: e, used: c.tick}
	c.size += int64(len(e.body))
	for len(c.held) > 1 && (c.size > c.limit.held || len(c.held) > c.limit.files) {
		oldest := key
		for k, h := range c.held {
			if h.used < c.held[oldest].used {
				oldest = k
			}
		}
		c.size -= int64(len(c.held[oldest].body))
		delete(c.held, oldest)
	}
}

// trim removes the oldest files while they are too many or too large, and what
// writers that were killed have left. c.files is held.
func (c *cache) trim() error {
	all, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	var size int64
	for _, d := range all {
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if strings.HasPrefix(d.Name(), ".") { // no other write is under way
			_ = os.Remove(c.path(d.Name()))
			continue
		}
		files = append(files, info)
		size += info.Size()
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for n := len(files); len(files) > 1 && (n > c.limit.files || size > c.limit.bytes); n-- {
		if err := os.Remove(c.path(files[0].Name())); err != nil {
			return err
		}
		size -= files[0].Size()
		files = files[1:]
	}
	return nil
}

var errCorrupt = errors.New("is not as it was written")

// readEntry reads a file. Whatever is wrong with it is an error.
func readEntry(name string, it item, maxSize int64) (*entry, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize+maxHead {
		return nil, errCorrupt
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSize+maxHead+1))
	if err != nil {
		return nil, err
	}
	line, body, ok := bytes.Cut(content, []byte("\n"))
	e := &entry{body: body, checked: info.ModTime()}
	if !ok || len(line) > maxHead || json.Unmarshal(line, &e.head) != nil {
		return nil, errCorrupt
	}
	sum := sha256.Sum256(body)
	if e.SHA256 != hex.EncodeToString(sum[:]) || e.URL != it.url.String() || int64(len(body)) > maxSize {
		return nil, errCorrupt
	}
	return e, nil
}
