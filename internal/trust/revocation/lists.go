package revocation

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"mailseal/internal/pki/x5280"
)

// Lists are CRLs that somebody has configured. They never change once made, and may
// be used by any number of goroutines. With them goes a memory of what has been
// verified: a large CRL is parsed and its signature checked once, and not for each
// mail.
type Lists struct {
	byIssuer map[string][]*known
	memory   memory
}

// NewLists makes them; none are just the memory. Who signed the CRLs is looked at when
// one is needed.
func NewLists(crls ...*x5280.CRL) *Lists {
	l := &Lists{byIssuer: map[string][]*known{}, memory: memory{bound: maxMemory}}
	for _, c := range crls {
		key := c.Issuer.Key()
		l.byIssuer[key] = append(l.byIssuer[key], &known{CRL: c})
	}
	return l
}

// Len is how many there are.
func (l *Lists) Len() (n int) {
	for _, of := range l.byIssuer {
		n += len(of)
	}
	return n
}

// A known CRL is one with what is remembered of it.
type known struct {
	*x5280.CRL
	// signer is the SubjectPublicKeyInfo of a key that is known to have signed it.
	signer atomic.Pointer[string]
}

func (k *known) isSignedBy(spki []byte) bool {
	s := k.signer.Load()
	return s != nil && *s == string(spki)
}

// maxMemory bounds the CRLs that are remembered besides the configured ones, in
// bytes. Each has its index too, a tenth of that.
const maxMemory = 128 << 20

type digest [sha256.Size]byte

// A memory holds CRLs that have been verified, by what they are. Those that have not
// been asked for since half of it was filled go first.
type memory struct {
	bound  int        // bytes
	mu     sync.Mutex // guards all below
	size   int        // of young
	young  map[digest]*known
	mature map[digest]*known
}

// get returns the CRL that has been remembered.
func (m *memory) get(d digest) *known {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.young[d]; k != nil {
		return k
	}
	k := m.mature[d]
	if k != nil {
		m.put(d, k)
	}
	return k
}

// keep remembers one.
func (m *memory) keep(k *known) {
	d := digest(sha256.Sum256(k.Raw))
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(k.Raw) <= m.bound/2 {
		m.put(d, k)
	}
}

// put has mu.
func (m *memory) put(d digest, k *known) {
	if m.young[d] != nil {
		return
	}
	if m.young == nil || m.size+len(k.Raw) > m.bound/2 {
		m.young, m.mature, m.size = map[digest]*known{}, m.young, 0
	}
	delete(m.mature, d)
	m.young[d] = k
	m.size += len(k.Raw)
}
