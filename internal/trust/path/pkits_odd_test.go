package path

import (
	"path/filepath"
	"strings"
	"testing"

	"mailseal/internal/pki/x5280"
)

// NIST's other tests: the odd-numbered, and the variants of others that have no mail.
// The certificates are there; what is wanted is what NIST's document says. -p N is
// NIST-test-policy-N. "revocation" is a verdict that needs CRLs; without, the path is good.
const others = `
4.1.1 ValidCertificatePathTest1 |
4.1.3 InvalidEESignatureTest3 | signature
4.1.5 ValidDSAParameterInheritanceTest5 | signature
4.2.1 InvalidCAnotBeforeDateTest1 | not-yet-valid
4.2.3 Validpre2000UTCnotBeforeDateTest3 |
4.2.5 InvalidCAnotAfterDateTest5 | expired
4.2.7 Invalidpre2000UTCEEnotAfterDateTest7 | expired
4.3.1 InvalidNameChainingTest1 | no-issuer
4.3.3 ValidNameChainingWhitespaceTest3 |
4.3.5 ValidNameChainingCapitalizationTest5 |
4.3.7 ValidRFC3280MandatoryAttributeTypesTest7 |
4.3.9 ValidUTF8StringEncodedNamesTest9 |
4.3.11 ValidUTF8StringCaseInsensitiveMatchTest11 |
4.4.1 InvalidMissingCRLTest1 | revocation
4.4.3 InvalidRevokedEETest3 | revocation
4.4.5 InvalidBadCRLIssuerNameTest5 | revocation
4.4.7 ValidTwoCRLsTest7 |
4.4.9 InvalidUnknownCRLExtensionTest9 | revocation
4.4.11 InvalidOldCRLnextUpdateTest11 | revocation
4.4.13 ValidGeneralizedTimeCRLnextUpdateTest13 |
4.4.15 InvalidNegativeSerialNumberTest15 | revocation
4.4.17 ValidLongSerialNumberTest17 |
4.4.19 ValidSeparateCertificateandCRLKeysTest19 |
4.4.21 InvalidSeparateCertificateandCRLKeysTest21 | revocation
4.5.1 ValidBasicSelfIssuedOldWithNewTest1 |
4.5.3 ValidBasicSelfIssuedNewWithOldTest3 |
4.5.5 InvalidBasicSelfIssuedNewWithOldTest5 | revocation
4.5.7 InvalidBasicSelfIssuedCRLSigningKeyTest7 | revocation
4.6.1 InvalidMissingbasicConstraintsTest1 | not-a-ca
4.6.3 InvalidcAFalseTest3 | not-a-ca
4.6.5 InvalidpathLenConstraintTest5 | path-length
4.6.7 ValidpathLenConstraintTest7 |
4.6.9 InvalidpathLenConstraintTest9 | path-length
4.6.11 InvalidpathLenConstraintTest11 | path-length
4.6.13 ValidpathLenConstraintTest13 |
4.6.15 ValidSelfIssuedpathLenConstraintTest15 |
4.6.17 ValidSelfIssuedpathLenConstraintTest17 |
4.7.1 InvalidkeyUsageCriticalkeyCertSignFalseTest1 | ca-key-usage
4.7.3 ValidkeyUsageNotCriticalTest3 |
4.7.5 InvalidkeyUsageNotCriticalcRLSignFalseTest5 | revocation
4.8.1.1 ValidCertificatePathTest1 -explicit_policy |
4.8.1.3 ValidCertificatePathTest1 -p 2 -explicit_policy | policy
4.8.2.1 AllCertificatesNoPoliciesTest2 |
4.8.3.1 DifferentPoliciesTest3 |
4.8.3.3 DifferentPoliciesTest3 -p 1 -p 2 -explicit_policy | policy
4.8.5 DifferentPoliciesTest5 | policy
4.8.6.1 OverlappingPoliciesTest6 |
4.8.6.3 OverlappingPoliciesTest6 -p 2 | policy
4.8.7 DifferentPoliciesTest7 | policy
4.8.9 DifferentPoliciesTest9 | policy
4.8.10.1 AllCertificatesSamePoliciesTest10 |
4.8.10.3 AllCertificatesSamePoliciesTest10 -p 1 |
4.8.11.1 AllCertificatesanyPolicyTest11 |
4.8.13.1 AllCertificatesSamePoliciesTest13 -p 1 |
4.8.13.3 AllCertificatesSamePoliciesTest13 -p 3 |
4.8.14.1 AnyPolicyTest14 -p 1 |
4.8.15 UserNoticeQualifierTest15 |
4.8.17 UserNoticeQualifierTest17 |
4.8.18.1 UserNoticeQualifierTest18 -p 1 |
4.8.19 UserNoticeQualifierTest19 |
4.9.1 ValidrequireExplicitPolicyTest1 |
4.9.3 InvalidrequireExplicitPolicyTest3 | policy
4.9.5 InvalidrequireExplicitPolicyTest5 | policy
4.9.7 InvalidSelfIssuedrequireExplicitPolicyTest7 | policy
4.10.1.1 ValidPolicyMappingTest1 -p 1 |
4.10.1.3 ValidPolicyMappingTest1 -inhibit_map | policy
4.10.2.1 InvalidPolicyMappingTest2 | policy
4.10.3.1 ValidPolicyMappingTest3 -p 1 | policy
4.10.5.1 ValidPolicyMappingTest5 -p 1 |
4.10.6.1 ValidPolicyMappingTest6 -p 1 |
4.10.7 InvalidMappingFromanyPolicyTest7 | policy-mapping
4.10.9 ValidPolicyMappingTest9 |
4.10.11 ValidPolicyMappingTest11 |
4.10.12.1 ValidPolicyMappingTest12 -p 1 |
4.10.13 ValidPolicyMappingTest13 |
4.11.1 InvalidinhibitPolicyMappingTest1 | policy
4.11.3 InvalidinhibitPolicyMappingTest3 | policy
4.11.5 InvalidinhibitPolicyMappingTest5 | policy
4.11.7 ValidSelfIssuedinhibitPolicyMappingTest7 |
4.11.9 InvalidSelfIssuedinhibitPolicyMappingTest9 | policy
4.11.11 InvalidSelfIssuedinhibitPolicyMappingTest11 | policy
4.12.1 InvalidinhibitAnyPolicyTest1 | policy
4.12.3.1 inhibitAnyPolicyTest3 |
4.12.5 InvalidinhibitAnyPolicyTest5 | policy
4.12.7 ValidSelfIssuedinhibitAnyPolicyTest7 |
4.12.9 ValidSelfIssuedinhibitAnyPolicyTest9 |
4.13.1 ValidDNnameConstraintsTest1 |
4.13.3 InvalidDNnameConstraintsTest3 | name-constraints
4.13.5 ValidDNnameConstraintsTest5 |
4.13.7 InvalidDNnameConstraintsTest7 | name-constraints
4.13.9 InvalidDNnameConstraintsTest9 | name-constraints
4.13.11 ValidDNnameConstraintsTest11 |
4.13.13 InvalidDNnameConstraintsTest13 | name-constraints
4.13.15 InvalidDNnameConstraintsTest15 | name-constraints
4.13.17 InvalidDNnameConstraintsTest17 | name-constraints
4.13.19 ValidDNnameConstraintsTest19 |
4.13.21 ValidRFC822nameConstraintsTest21 |
4.13.23 ValidRFC822nameConstraintsTest23 |
4.13.25 ValidRFC822nameConstraintsTest25 |
4.13.27 ValidDNandRFC822nameConstraintsTest27 |
4.13.29 InvalidDNandRFC822nameConstraintsTest29 | name-constraints
4.13.31 InvalidDNSnameConstraintsTest31 | name-constraints
4.13.33 InvalidDNSnameConstraintsTest33 | name-constraints
4.13.35 InvalidURInameConstraintsTest35 | name-constraints
4.13.37 InvalidURInameConstraintsTest37 | name-constraints
4.14.1 ValiddistributionPointTest1 |
4.14.3 InvaliddistributionPointTest3 | revocation
4.14.5 ValiddistributionPointTest5 |
4.14.7 ValiddistributionPointTest7 |
4.14.9 InvaliddistributionPointTest9 | revocation
4.14.11 InvalidonlyContainsUserCertsTest11 | revocation
4.14.13 ValidonlyContainsCACertsTest13 |
4.14.15 InvalidonlySomeReasonsTest15 | revocation
4.14.17 InvalidonlySomeReasonsTest17 | revocation
4.14.19 ValidonlySomeReasonsTest19 |
4.14.21 InvalidonlySomeReasonsTest21 | revocation
4.14.23 InvalidIDPwithindirectCRLTest23 | revocation
4.14.25 ValidIDPwithindirectCRLTest25 |
4.14.27 InvalidcRLIssuerTest27 | revocation
4.14.29 ValidcRLIssuerTest29 |
4.14.31 InvalidcRLIssuerTest31 | revocation
4.14.33 ValidcRLIssuerTest33 |
4.14.35 InvalidcRLIssuerTest35 | revocation
4.15.1 InvaliddeltaCRLIndicatorNoBaseTest1 | revocation
4.15.3 InvaliddeltaCRLTest3 | revocation
4.15.5 ValiddeltaCRLTest5 |
4.15.7 ValiddeltaCRLTest7 |
4.15.9 InvaliddeltaCRLTest9 | revocation
4.16.1 ValidUnknownNotCriticalCertificateExtensionTest1 |`

// shelf are all certificates of PKITS by their names there.
func shelf(t testing.TB, dir string) (all []*x5280.Certificate, named map[string]*x5280.Certificate) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "certs", "*.crt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no certificates: %v", err)
	}
	named = map[string]*x5280.Certificate{}
	for _, f := range files {
		c := readCert(t, f)
		all = append(all, c)
		named[strings.TrimSuffix(strings.TrimSuffix(filepath.Base(f), ".crt"), "EE")] = c
	}
	return all, named
}

// All 404 certificates lie about when each path is looked for. The even-numbered tests
// are mails: package revocation has them, paths and all.
func TestPKITSOthers(t *testing.T) {
	dir := pkits(t)
	store := pkitsStore(t, dir)
	all, named := shelf(t, dir)
	for _, line := range strings.Split(strings.TrimSpace(others), "\n") {
		left, want, _ := strings.Cut(line, "|")
		f := strings.Fields(left)
		t.Run(f[0], func(t *testing.T) {
			leaf := named[f[1]]
			if leaf == nil {
				t.Fatalf("no certificate %s", f[1])
			}
			args := strings.ReplaceAll(strings.Join(f[2:], " "), "-p ", "-policy 2.16.840.1.101.3.2.1.48.")
			r := store.Among(all, options(t, args)).Path(leaf)
			switch want = strings.TrimSpace(want); want {
			case "", "revocation":
				check(t, f[1], r, nil)
			default:
				check(t, f[1], r, []Rule{Rule(want)})
			}
			if testing.Verbose() && !r.Good() {
				t.Log(r.Text())
			}
		})
	}
}
