import java.io.*;
import java.lang.reflect.*;
import java.nio.charset.StandardCharsets;
import java.security.*;
import java.security.cert.*;
import java.security.spec.*;
import java.util.*;
import javax.crypto.spec.*;
import org.bouncycastle.asn1.*;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.*;
import org.bouncycastle.cms.*;
import org.bouncycastle.cms.jcajce.*;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.*;
import org.bouncycastle.operator.jcajce.*;
import org.bouncycastle.util.Store;

/**
 * A peer for tests: makes and opens CMS objects with Bouncy Castle.
 *
 * A request is a line of words, an operation and NAME=VALUE, octets in base64;
 * the answer is a line too: "ok" with octets, or "no" with what was wrong.
 */
public class BouncyCastle {
	record Identity(X509Certificate certificate, PrivateKey key) {
		X509CertificateHolder holder() throws CertificateException, IOException {
			return new JcaX509CertificateHolder(certificate);
		}

		byte[] keyID() throws NoSuchAlgorithmException {
			byte[] extension = certificate.getExtensionValue("2.5.29.14");
			return ASN1OctetString.getInstance(ASN1OctetString.getInstance(extension).getOctets()).getOctets();
		}
	}

	static final String BC = "BC";
	static final Map<String, Identity> identities = new HashMap<>();

	public static void main(String[] args) throws IOException {
		Security.addProvider(new BouncyCastleProvider());
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
		PrintStream out = System.out;
		for (String line; (line = in.readLine()) != null;) {
			try {
				out.println("ok " + Base64.getEncoder().encodeToString(answer(new Request(line))));
			} catch (Throwable t) {
				StringBuilder why = new StringBuilder();
				for (Throwable c = t; c != null; c = c.getCause()) {
					why.append(why.length() == 0 ? "" : ": ").append(c.getClass().getSimpleName()).append(' ').append(c.getMessage());
				}
				out.println("no " + why.toString().replaceAll("\\s+", " "));
			}
			out.flush();
		}
	}

	static class Request {
		final String operation;
		final Map<String, List<String>> values = new HashMap<>();

		Request(String line) {
			String[] words = line.split(" ");
			operation = words[0];
			for (int i = 1; i < words.length; i++) {
				int eq = words[i].indexOf('=');
				values.computeIfAbsent(words[i].substring(0, eq), k -> new ArrayList<>()).add(words[i].substring(eq + 1));
			}
		}

		List<String> all(String name) {
			return values.getOrDefault(name, List.of());
		}

		String get(String name) {
			return values.containsKey(name) ? values.get(name).get(0) : "";
		}

		boolean is(String name) {
			return values.containsKey(name);
		}

		byte[] octets(String name) {
			return Base64.getDecoder().decode(get(name));
		}
	}

	static byte[] answer(Request r) throws Exception {
		switch (r.operation) {
		case "version":
			return Security.getProvider(BC).getInfo().replaceAll(".* v", "").getBytes(StandardCharsets.US_ASCII);
		case "identity":
			return identity(r);
		case "sign":
			return sign(r);
		case "verify":
			return verify(r);
		case "encrypt":
			return encrypt(r);
		case "decrypt":
			return decrypt(r);
		case "compress":
			return encoded(new CMSCompressedDataGenerator().generate(content(r), new ZlibCompressor()).toASN1Structure(), r);
		case "expand":
			return new CMSCompressedData(r.octets("cms")).getContent(new ZlibExpanderProvider());
		case "check-digest":
			return checkDigest(r);
		case "certs-only":
			return certsOnly(r);
		case "certificates":
			return certificates(r);
		}
		throw new IllegalArgumentException("no operation " + r.operation);
	}

	static CMSTypedData content(Request r) {
		return new CMSProcessableByteArray(r.octets("content"));
	}

	static byte[] encoded(ContentInfo c, Request r) throws IOException {
		return c.getEncoded(r.is("ber") ? ASN1Encoding.BER : ASN1Encoding.DER);
	}

	static byte[] identity(Request r) throws Exception {
		CertificateFactory f = CertificateFactory.getInstance("X.509", BC);
		X509Certificate c = (X509Certificate) f.generateCertificate(new ByteArrayInputStream(r.octets("certificate")));
		org.bouncycastle.asn1.pkcs.PrivateKeyInfo key = org.bouncycastle.asn1.pkcs.PrivateKeyInfo.getInstance(r.octets("key"));
		identities.put(r.get("name"), new Identity(c, BouncyCastleProvider.getPrivateKey(key)));
		return new byte[0];
	}

	static DigestCalculatorProvider digests() throws OperatorCreationException {
		return new JcaDigestCalculatorProviderBuilder().setProvider(BC).build();
	}

	/** signer=NAME,ALGORITHM[,keyid][,direct][,sha512]; the last for algorithms that do not name a digest. */
	static byte[] sign(Request r) throws Exception {
		CMSSignedDataGenerator g = new CMSSignedDataGenerator();
		List<X509CertificateHolder> sent = new ArrayList<>();
		for (String s : r.all("signer")) {
			List<String> words = List.of(s.split(","));
			Identity id = identities.get(words.get(0));
			ContentSigner signer = new JcaContentSignerBuilder(words.get(1)).setProvider(BC).build(id.key());
			JcaSignerInfoGeneratorBuilder b = new JcaSignerInfoGeneratorBuilder(digests()).setDirectSignature(words.contains("direct"));
			if (words.contains("sha512")) {
				b.setContentDigest(new AlgorithmIdentifier(NISTObjectIdentifiers.id_sha512));
			}
			g.addSignerInfoGenerator(words.contains("keyid") ? b.build(signer, id.keyID()) : b.build(signer, id.certificate()));
			sent.add(id.holder());
		}
		if (!r.is("nocerts")) {
			g.addCertificates(new JcaCertStore(sent));
		}
		return encoded(g.generate(content(r), !r.is("detached")).toASN1Structure(), r);
	}

	/** The content, if every signer has signed it and is known by an identity or a certificate that came along. */
	static byte[] verify(Request r) throws Exception {
		CMSSignedData s = r.is("content") ? new CMSSignedData(content(r), r.octets("cms")) : new CMSSignedData(r.octets("cms"));
		if (s.getSignerInfos().size() != Integer.parseInt(r.get("signers"))) {
			throw new CMSException(s.getSignerInfos().size() + " signers");
		}
		for (SignerInformation i : s.getSignerInfos()) {
			X509CertificateHolder by = null;
			for (Object o : s.getCertificates().getMatches(i.getSID())) {
				by = (X509CertificateHolder) o;
			}
			if (by == null) {
				throw new CMSException("no certificate of the signer");
			}
			if (!i.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider(BC).build(by))) {
				throw new CMSException("signature does not verify");
			}
		}
		ByteArrayOutputStream out = new ByteArrayOutputStream();
		s.getSignedContent().write(out);
		return out.toByteArray();
	}

	/** cipher=OID, to=NAME|PASSWORD,KIND[,keyid][,HASH,MGF]; misplaced: an EnvelopedData in any case */
	static byte[] encrypt(Request r) throws Exception {
		ASN1ObjectIdentifier cipher = new ASN1ObjectIdentifier(r.get("cipher"));
		OutputEncryptor e = new JceCMSContentEncryptorBuilder(cipher).setProvider(BC).build();
		if (e instanceof OutputAEADEncryptor a && !r.is("misplaced")) {
			CMSAuthEnvelopedDataGenerator g = new CMSAuthEnvelopedDataGenerator();
			for (String to : r.all("to")) {
				g.addRecipientInfoGenerator(recipient(List.of(to.split(","))));
			}
			return encoded(g.generate(content(r), a).toASN1Structure(), r);
		}
		CMSEnvelopedDataGenerator g = new CMSEnvelopedDataGenerator();
		for (String to : r.all("to")) {
			g.addRecipientInfoGenerator(recipient(List.of(to.split(","))));
		}
		return encoded(g.generate(content(r), e).toASN1Structure(), r);
	}

	static RecipientInfoGenerator recipient(List<String> words) throws Exception {
		if (words.get(1).equals("pwri")) {
			return new JcePasswordRecipientInfoGenerator(CMSAlgorithm.AES256_CBC, words.get(0).toCharArray()).setProvider(BC)
				.setPRF(PasswordRecipient.PRF.HMacSHA256).setSaltAndIterationCount("saltsaltsaltsalt".getBytes(StandardCharsets.US_ASCII), 10000);
		}
		Identity id = identities.get(words.get(0));
		PublicKey key = id.certificate().getPublicKey();
		boolean keyID = words.contains("keyid");
		switch (words.get(1)) {
		case "ktri":
			return keyID ? new JceKeyTransRecipientInfoGenerator(id.keyID(), key).setProvider(BC)
				: new JceKeyTransRecipientInfoGenerator(id.certificate()).setProvider(BC);
		case "oaep":
			AlgorithmIdentifier a = new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP,
				new OAEPParameterSpec(words.get(2), "MGF1", new MGF1ParameterSpec(words.get(3)), PSource.PSpecified.DEFAULT));
			return new JceKeyTransRecipientInfoGenerator(id.certificate(), a).setProvider(BC);
		case "kari":
			KeyPairGenerator kpg = KeyPairGenerator.getInstance(words.get(2).equals("XDH") ? "X25519" : "EC", BC);
			if (!words.get(2).equals("XDH")) {
				kpg.initialize(((java.security.interfaces.ECPublicKey) key).getParams());
			}
			KeyPair ephemeral = kpg.generateKeyPair();
			ASN1ObjectIdentifier scheme = words.get(2).equals("XDH") ? new ASN1ObjectIdentifier("1.2.840.113549.1.9.16.3.19")
				: (ASN1ObjectIdentifier) CMSAlgorithm.class.getField("ECDH_" + words.get(2) + "KDF").get(null);
			JceKeyAgreeRecipientInfoGenerator g = new JceKeyAgreeRecipientInfoGenerator(scheme, ephemeral.getPrivate(), ephemeral.getPublic(),
				CMSAlgorithm.AES256_WRAP).setProvider(BC);
			return keyID ? g.addRecipient(id.keyID(), key) : g.addRecipient(id.certificate());
		case "kemri":
			// Bouncy Castle 1.72 does not have it.
			Object kem = Class.forName("org.bouncycastle.cms.jcajce.JceKEMRecipientInfoGenerator")
				.getConstructor(X509Certificate.class, ASN1ObjectIdentifier.class).newInstance(id.certificate(), CMSAlgorithm.AES256_WRAP);
			kem = kem.getClass().getMethod("setKDF", AlgorithmIdentifier.class).invoke(kem,
				new AlgorithmIdentifier(new ASN1ObjectIdentifier("1.2.840.113549.1.9.16.3.28")));
			return (RecipientInfoGenerator) kem;
		}
		throw new IllegalArgumentException("no recipient " + words.get(1));
	}

	/** as=NAME|PASSWORD,KIND; the recipient is found by issuer and serial number, or key identifier, if it has such. */
	static byte[] decrypt(Request r) throws Exception {
		List<String> as = List.of(r.get("as").split(","));
		ContentInfo c = ContentInfo.getInstance(r.octets("cms"));
		boolean authenticated = c.getContentType().equals(org.bouncycastle.asn1.cms.CMSObjectIdentifiers.authEnvelopedData);
		RecipientInformationStore store = authenticated ? new CMSAuthEnvelopedData(c).getRecipientInfos() : new CMSEnvelopedData(c).getRecipientInfos();
		String last = "no recipient that fits";
		for (RecipientInformation i : store) {
			Recipient by = opener(i, as, authenticated);
			if (by != null) {
				return i.getContent(by);
			}
		}
		throw new CMSException(last);
	}

	static Recipient opener(RecipientInformation i, List<String> as, boolean authenticated) throws Exception {
		if (as.get(1).equals("pwri")) {
			return i instanceof PasswordRecipientInformation ? new JcePasswordEnvelopedRecipient(as.get(0).toCharArray()).setProvider(BC) : null;
		}
		Identity id = identities.get(as.get(0));
		if (i instanceof KeyTransRecipientInformation && i.getRID().match(id.holder())) {
			return authenticated ? new JceKeyTransAuthEnvelopedRecipient(id.key()).setProvider(BC)
				: new JceKeyTransEnvelopedRecipient(id.key()).setProvider(BC);
		}
		if (i instanceof KeyAgreeRecipientInformation && i.getRID().match(id.holder())) {
			return new JceKeyAgreeEnvelopedRecipient(id.key()).setProvider(BC);
		}
		if (i.getClass().getSimpleName().equals("KEMRecipientInformation") && i.getRID().match(id.holder())) {
			Object kem = Class.forName("org.bouncycastle.cms.jcajce.JceKEMEnvelopedRecipient")
				.getConstructor(PrivateKey.class).newInstance(id.key());
			return (Recipient) kem;
		}
		return null;
	}

	static byte[] checkDigest(Request r) throws Exception {
		CMSDigestedData d = new CMSDigestedData(r.octets("cms"));
		if (!d.verify(digests())) {
			throw new CMSException("digest does not fit");
		}
		return (byte[]) d.getDigestedContent().getContent();
	}

	static byte[] certsOnly(Request r) throws Exception {
		CMSSignedDataGenerator g = new CMSSignedDataGenerator();
		for (String name : r.all("name")) {
			g.addCertificate(identities.get(name).holder());
		}
		return encoded(g.generate(new CMSAbsentContent()).toASN1Structure(), r);
	}

	static byte[] certificates(Request r) throws Exception {
		ByteArrayOutputStream out = new ByteArrayOutputStream();
		Store<X509CertificateHolder> all = new CMSSignedData(r.octets("cms")).getCertificates();
		for (X509CertificateHolder c : all.getMatches(null)) {
			out.write(c.getEncoded());
		}
		return out.toByteArray();
	}
}
