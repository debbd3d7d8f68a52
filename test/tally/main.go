// Tally reads what `make test TESTFLAGS=-json` prints, shows what a person
// wants to see of it, and ends with a line that says how many tests passed,
// failed and were skipped, subtests counted too. It exits with 1 if any failed
// or none ran, and with -strict also if any was skipped for a missing tool.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	strict := flag.Bool("strict", false, "a test that is skipped for a missing tool has failed")
	flag.Parse()
	t := newTally(os.Stdout, *strict)
	if err := t.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
	if !t.close() {
		os.Exit(1)
	}
}
