package metrics_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Samples are what a scrape has told: a value for each series, which is written
// as name{label="value",...} with its labels in order. A histogram is its
// count.
type Samples map[string]float64

// Scrape asks once, with Prometheus's own reader of the answer.
func Scrape(network, address string) (Samples, error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	r, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Get("http://localhost/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape: %s", r.Status)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(r.Body)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	all := Samples{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			sort.Strings(labels)
			series := name
			if len(labels) > 0 {
				series += "{" + strings.Join(labels, ",") + "}"
			}
			switch {
			case m.GetCounter() != nil:
				all[series] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				all[series] = m.GetGauge().GetValue()
			case m.GetHistogram() != nil:
				all[series] = float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return all, nil
}

// Without returns the samples of our own metrics that are not 0, but for those
// of some names.
func (s Samples) Without(names ...string) Samples {
	rest := Samples{}
next:
	for series, v := range s {
		if v == 0 || !strings.HasPrefix(series, "mailseal_") {
			continue
		}
		name, _, _ := strings.Cut(series, "{")
		for _, n := range names {
			if n == name {
				continue next
			}
		}
		rest[series] = v
	}
	return rest
}

// Series are the names of our own series, in order.
func (s Samples) Series() []string {
	var all []string
	for series := range s {
		if strings.HasPrefix(series, "mailseal_") {
			all = append(all, series)
		}
	}
	sort.Strings(all)
	return all
}
