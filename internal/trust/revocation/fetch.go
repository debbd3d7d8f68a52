package revocation

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mailseal/internal/pki/x5280"
)

// maxTold is how many failures are told.
const maxTold = 3

// maxURLs are tried for one distribution point or responder.
const maxURLs = 3

var errFetches = errors.New("too much is to be fetched for one mail")

// urls are the addresses among names.
func urls(names []x5280.GeneralName) (all []string) {
	for _, g := range names {
		scheme, _, _ := strings.Cut(g.Text, ":")
		if g.Form == x5280.URI && len(g.Text) < 2000 && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) && len(all) < maxURLs {
			all = append(all, g.Text)
		}
	}
	return all
}

// fetchLists gets the CRLs that a certificate points at, and says what failed.
func (k *checker) fetchLists(c *x5280.Certificate) (failed []string) {
	e, ok := c.Extension(x5280.CRLDistributionPoints)
	if !ok || k.q.Fetch == nil {
		return nil
	}
	points, _ := x5280.ReadDistributionPoints(e.Value)
	return k.fetchPoints(points)
}

// fetchChanges gets the delta CRLs that a certificate or its CRL points at. Without
// them the CRL is what is known.
func (k *checker) fetchChanges(b base, c *x5280.Certificate) {
	if k.q.Fetch == nil {
		return
	}
	k.fetchPoints(b.Freshest)
	if e, ok := c.Extension(x5280.FreshestCRL); ok {
		points, _ := x5280.ReadDistributionPoints(e.Value)
		k.fetchPoints(points)
	}
}

// fetchPoints gets one CRL from each point.
func (k *checker) fetchPoints(points []x5280.DistributionPoint) (failed []string) {
	for _, p := range points {
		var last error
		for _, url := range urls(p.Name.Full) {
			if last = k.fetch(url); last == nil {
				break
			}
		}
		if last == nil {
			continue
		}
		if text := fmt.Sprintf("fetching a CRL failed: %v", last); len(failed) < maxTold && !slices.Contains(failed, text) {
			failed = append(failed, text)
		}
	}
	return failed
}

// A download is where a CRL was fetched, and as what.
type download struct {
	url  string
	file []byte
}

// doubt tells a Fetcher that keeps what it gets of what could not be verified.
func (k *checker) doubt(url string, request, body []byte) {
	if d, ok := k.q.Fetch.(Doubter); ok {
		d.Doubt(url, request, body)
	}
}

// fetch gets a CRL, once.
func (k *checker) fetch(url string) error {
	if err, again := k.fetched[url]; again {
		return err
	}
	if len(k.fetched) == maxFetches {
		return errFetches
	}
	err := func() error {
		file, err := k.q.Fetch.CRL(k.ctx, url)
		if err != nil {
			return err
		}
		l, err := k.parse(file)
		if err != nil {
			return fmt.Errorf("what is at %.200q is no CRL: %w", url, err)
		}
		k.came[l] = download{url, file}
		k.add(list{l, fetched})
		return nil
	}()
	k.fetched[url] = err
	return err
}
