// Figures measures single operations: beside their floor and beside other
// libraries, in rounds of the benchmarks that do that, and how much memory they
// take, in processes of their own. The tables go into doc/performance.md, between
// its marks.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"mailseal/test/report"
)

// suites are the packages with a BenchmarkRatio, and what their table is of.
var suites = []struct{ pkg, title string }{
	{"./smime", "Whole mails: finding the parts, MIME, base64, the spool"},
	{"./smime/cms", "CMS objects alone"},
	{"./internal/verdict", "Verdicts: the signature, the path of its certificate and its revocation"},
}

var marks = report.Marks{Begin: "<!-- figures: written by make bench -->", End: "<!-- end of figures -->"}

// The program runs itself as these.
var helpers = map[string]func(args []string) error{"measure": measure, "pkcs7": runPKCS7}

func main() {
	if len(os.Args) > 1 && helpers[os.Args[1]] != nil {
		exit(helpers[os.Args[1]](os.Args[2:]))
	}
	rounds := flag.Int("rounds", 5, "rounds of all benchmarks; the medians are told")
	benchtime := flag.String("benchtime", "300ms", "time for each benchmark and round")
	out := flag.String("out", "", "`FILE` whose table is renewed; standard output without")
	flag.Parse()
	exit(run(*rounds, *benchtime, *out))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(rounds int, benchtime, out string) error {
	all, err := benchmarks(rounds, benchtime)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "figures: memory")
	peaks, err := memory(mailSize)
	if err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	var table bytes.Buffer
	fmt.Fprintf(&table, "%s; medians of %d rounds.\n", report.Machine(), rounds)
	for j, s := range suites {
		fmt.Fprintf(&table, "\n### %s\n\n", s.title)
		all[j].write(&table)
	}
	fmt.Fprint(&table, "\n### One process for one mail of 25 MB: peak of resident memory, and CPU time\n\n")
	writePeaks(&table, peaks)
	if out == "" {
		_, err := os.Stdout.Write(table.Bytes())
		return err
	}
	return marks.Renew(out, table.String())
}

// benchmarks builds all suites, so that what changes meanwhile does not matter,
// and runs them by turns.
func benchmarks(rounds int, benchtime string) ([]results, error) {
	dir, err := os.MkdirTemp("", "figures")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := func(i int) string { return filepath.Join(dir, fmt.Sprintf("%d.test", i)) }
	for i, s := range suites {
		if text, err := exec.Command("go", "test", "-c", "-o", binary(i), s.pkg).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", s.pkg, err, text)
		}
	}
	all := make([]results, len(suites))
	for round := range rounds {
		for i, s := range suites {
			fmt.Fprintf(os.Stderr, "figures: %s, round %d of %d\n", s.pkg, round+1, rounds)
			cmd := exec.Command(binary(i), "-test.run", "^$", "-test.bench", "^BenchmarkRatio$", "-test.benchtime", benchtime)
			cmd.Dir = s.pkg
			text, err := cmd.CombinedOutput()
			if err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", s.pkg, err, text)
			}
			all[i].read(string(text))
		}
	}
	return all, nil
}
