package revocation

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/internal/pki/x5280"
)

// NIST's other tests: the odd-numbered, which have no mail, with what NIST's document
// says of them. Those of the even-numbered are here again, as now all CRLs are at hand.
const others = `
4.4.1 InvalidMissingCRLTest1 unknown there is no CRL
4.4.2 InvalidRevokedCATest2 revoked keyCompromise
4.4.3 InvalidRevokedEETest3 revoked keyCompromise
4.4.4 InvalidBadCRLSignatureTest4 unknown is not signed by
4.4.5 InvalidBadCRLIssuerNameTest5 unknown there is no CRL
4.4.6 InvalidWrongCRLTest6 unknown there is no CRL
4.4.8 InvalidUnknownCRLEntryExtensionTest8 unknown critical extension
4.4.9 InvalidUnknownCRLExtensionTest9 unknown critical extension
4.4.10 InvalidUnknownCRLExtensionTest10 unknown critical extension
4.4.11 InvalidOldCRLnextUpdateTest11 unknown expired at 2010
4.4.12 Invalidpre2000CRLnextUpdateTest12 unknown expired at 1999
4.4.15 InvalidNegativeSerialNumberTest15 revoked keyCompromise
4.4.18 InvalidLongSerialNumberTest18 revoked keyCompromise
4.4.20 InvalidSeparateCertificateandCRLKeysTest20 revoked keyCompromise
4.4.21 InvalidSeparateCertificateandCRLKeysTest21 unknown has been revoked
4.5.2 InvalidBasicSelfIssuedOldWithNewTest2 revoked keyCompromise
4.5.5 InvalidBasicSelfIssuedNewWithOldTest5 revoked keyCompromise
4.5.7 InvalidBasicSelfIssuedCRLSigningKeyTest7 revoked keyCompromise
4.7.4 InvalidkeyUsageCriticalcRLSignFalseTest4 unknown key usage
4.7.5 InvalidkeyUsageNotCriticalcRLSignFalseTest5 unknown key usage
4.14.2 InvaliddistributionPointTest2 revoked keyCompromise
4.14.3 InvaliddistributionPointTest3 unknown not about this certificate
4.14.6 InvaliddistributionPointTest6 revoked keyCompromise
4.14.8 InvaliddistributionPointTest8 unknown not about this certificate
4.14.9 InvaliddistributionPointTest9 unknown not about this certificate
4.14.11 InvalidonlyContainsUserCertsTest11 unknown not about this certificate
4.14.12 InvalidonlyContainsCACertsTest12 unknown not about this certificate
4.14.14 InvalidonlyContainsAttributeCertsTest14 unknown not about this certificate
4.14.15 InvalidonlySomeReasonsTest15 revoked keyCompromise
4.14.16 InvalidonlySomeReasonsTest16 revoked certificateHold
4.14.17 InvalidonlySomeReasonsTest17 unknown all reasons
4.14.20 InvalidonlySomeReasonsTest20 revoked keyCompromise
4.14.21 InvalidonlySomeReasonsTest21 revoked affiliationChanged
4.14.23 InvalidIDPwithindirectCRLTest23 revoked keyCompromise
4.14.26 InvalidIDPwithindirectCRLTest26 unknown there is no CRL
4.14.27 InvalidcRLIssuerTest27 unknown not about this certificate
4.14.30 ValidcRLIssuerTest30 unknown depends on a CRL that it signs itself
4.14.31 InvalidcRLIssuerTest31 revoked keyCompromise
4.14.32 InvalidcRLIssuerTest32 revoked keyCompromise
4.14.34 InvalidcRLIssuerTest34 revoked keyCompromise
4.14.35 InvalidcRLIssuerTest35 unknown not about this certificate
4.15.1 InvaliddeltaCRLIndicatorNoBaseTest1 unknown only changes
4.15.3 InvaliddeltaCRLTest3 revoked keyCompromise
4.15.4 InvaliddeltaCRLTest4 revoked keyCompromise
4.15.6 InvaliddeltaCRLTest6 revoked keyCompromise
4.15.9 InvaliddeltaCRLTest9 revoked keyCompromise
4.15.10 InvaliddeltaCRLTest10 unknown expired at 2010`

// shelf is all of PKITS.
func shelf(t testing.TB, dir string) (certs []*x5280.Certificate, named map[string]*x5280.Certificate, crls []*x5280.CRL) {
	t.Helper()
	named = map[string]*x5280.Certificate{}
	files, err := filepath.Glob(filepath.Join(dir, "certs", "*.crt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no certificates: %v", err)
	}
	for _, f := range files {
		c := parse(t, readFile(t, f))
		certs = append(certs, c)
		named[strings.TrimSuffix(strings.TrimSuffix(filepath.Base(f), ".crt"), "EE")] = c
	}
	if files, err = filepath.Glob(filepath.Join(dir, "crls", "*.crl")); err != nil || len(files) == 0 {
		t.Fatalf("no CRLs: %v", err)
	}
	for _, f := range files {
		crls = append(crls, parseCRL(t, readFile(t, f)))
	}
	return certs, named, crls
}

// All certificates and all CRLs lie about when each is asked for.
func TestPKITSOthers(t *testing.T) {
	dir := pkits(t)
	store := anchors(t, dir)
	certs, named, crls := shelf(t, dir)
	lists := NewLists(crls...)
	done := map[string]bool{}
	one := func(t *testing.T, name string, status Status, says string) {
		r := store.Among(certs, options(t, "")).Path(named[name])
		if !r.Good() {
			t.Fatalf("%s: %s", name, r.Text())
		}
		report := Check(context.Background(), r, Question{At: at, Local: lists, Extra: certs})
		if !holds(report, status, says) {
			t.Errorf("%s, want %s %s: %s", name, status, says, told(report))
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(others), "\n") {
		f := strings.SplitN(line, " ", 4)
		done[f[1]] = true
		t.Run(f[0], func(t *testing.T) { one(t, f[1], Status(f[2]), f[3]) })
	}
	// And whatever is valid by its name, but for DSA.
	valid := 0
	for name := range named {
		if strings.HasPrefix(name, "Valid") && !done[name] && !strings.Contains(name, "DSA") {
			valid++
			t.Run(name, func(t *testing.T) { one(t, name, Good, "") })
		}
	}
	if valid < 80 {
		t.Errorf("only %d are valid", valid)
	}
}
