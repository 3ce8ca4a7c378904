//! Known answers: the examples of RFC 7515 and RFC 8037, and tokens that PyJWT made with OpenSSL.

use serde_json::{Value, json};

/// RFC 7515, A.2 (RS256).
pub(crate) const RFC7515_A2: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
/// RFC 7515, A.3 (ES256).
pub(crate) const RFC7515_A3: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 8037, A.4 (EdDSA).
pub(crate) const RFC8037: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

/// PyJWT, with the key of this algorithm below.
pub(crate) const RS256: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJ0ZW5hbnRkIiwic3ViIjoidTEiLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDMwMCwibm9uY2UiOiJuLTEifQ.apDK_6G9Wxz-xV5vO8ClSrwigM-DfGiSROLFeAP8Y49h0RzeAsMgtuodTKx_8YVz1KmT-zvfyUYp2t4-NF9hY-esWrT_npgIcM7OhTrL22W3YMhE4z2dJYFzlCAfrIH_RPrAe0k0iBENUqxfMFewZowcBAwJPcYbj-gJEHhHidcxItflZA_vMNGyT87TKdmehiI3Ny4RhDD5V0ULilE2qzowOLhmDGZazfEWAmo1Qa3DkOiDVMFVh0JBi4iR3INQseV8x0oBowtmRir2xAATHGeXcOfbtEe3Hiew5ZSibhyOMw-2-5i_jD-vjH5f7RW9OkgVmkev-Lki39q3CeYOAA";
/// PyJWT, with the key of this algorithm below.
pub(crate) const PS256: &str = "eyJhbGciOiJQUzI1NiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJ0ZW5hbnRkIiwic3ViIjoidTEiLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDMwMCwibm9uY2UiOiJuLTEifQ.lSJ_rQ4XtkAFDp9B9VlmvTSwAXiCu8VwCcRZ21_GyRlyGJ85cIs_BlsX0k9RP-l-RGU2jlc67uyde7gCT4LBnUn-D61s5tQ5mH2hbpY_5uLoxcxHqbskVCBKa78FRElE__mASsxyTCtroYSkS1HdxPW3aXQ_gVdkjmFqvfqlz__3lgxuIPsuil4y7DsZ8w6XAQk6-1KnVAfvuQ3SczxcXVYAtdB737AjiSUt2BWtnjqXI0-sCp1otHB8IvccEIPEm1VdczMehUT_N1TTOip42f8ly-WbjgCoptXiO5mLOh6WG9p_eXwMACANXDs0vP86ISxCp5_bjBOurWdX-e6_qA";
/// PyJWT, with the key of this algorithm below.
pub(crate) const ES256: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6InAyNTYiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJ0ZW5hbnRkIiwic3ViIjoidTEiLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDMwMCwibm9uY2UiOiJuLTEifQ.747DkE-hmU82k5KKs1FfVH6OQl1a-EkHQApefZYJkF-wz16IUw74uxmjCpVL5kP7jEJrupJv2qXH9mXcx1GPKg";
/// PyJWT, with the key of this algorithm below.
pub(crate) const ES384: &str = "eyJhbGciOiJFUzM4NCIsImtpZCI6InAzODQiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJ0ZW5hbnRkIiwic3ViIjoidTEiLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDMwMCwibm9uY2UiOiJuLTEifQ.sBckTzlbhzJoX6HgB7xJcd6TMJQNWqTEZ1YPTO2tfYAyJmLF0cdhEyiHPZWXwurqUG5SIBx48cqh-nwYc872tnS9XinrpX8XPq_A1QxUHiuZj3NTtrCTHrOr58gBYMe7";
/// PyJWT, with the key of this algorithm below.
pub(crate) const EDDSA: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImVkIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJ0ZW5hbnRkIiwic3ViIjoidTEiLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDMwMCwibm9uY2UiOiJuLTEifQ.FTazspIx_jipvm5vZMtegP2DT340ZpXNOMKb9AjGvjvL3DzPxz1hC_O4CqXMgYQaboP5HOUDBJikDals1AdSAg";

/// The key of [`RFC7515_A2`].
pub(crate) fn rsa() -> Value {
    json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})
}

/// The key of [`RFC7515_A3`].
pub(crate) fn rfc7515_a3_key() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

/// The key of [`RFC8037`].
pub(crate) fn rfc8037_key() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

pub(crate) fn p256() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "AhfmF_C2RDkoJ4-WmZ5pojpPLBUr321s32bluAKC1O0",
        "y": "GUp968uXcS0t2jyoWqh2Wlb0X8dYWZZS8ol8ZTBuV5Q",
    })
}

pub(crate) fn p384() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-384",
        "x": "OG52fqXLcWyc1iD_c0ISnIkqb8zv5hIUDIC_9Z6UNGgBndoW5QebDB2QAdI6Yktt",
        "y": "0IjQw4JjlBlHh0A-in0H5eIvfpwLjoD6H6_10otLtZeyZ_C4cCPKYfyEVL3e_S4O",
    })
}

pub(crate) fn ed25519() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "oJql9HpnWYAv-VX43C0qFKXJnSO-l_hkEn_5ODRVpPA"})
}

pub(crate) fn rsa_of_1024_bits() -> Value {
    json!({"kty": "RSA", "e": "AQAB", "n": "vTFe77zBiabcEJfrvL2T9FBrPgLEjSIVDeONOTYoRINmTEWgPs641oBrBr3mDj_m9ipVnZhbzgBeIeH5VrAzKqgEcy8Y0oy-AH75zo632syK68y6JqSYNiVBstHt0LqieEfrWJkTAxdvFrRNyErq5SxCui2p5BGej_MjZPb-y-0"})
}

/// `jwk` under a name.
pub(crate) fn named(mut jwk: Value, kid: &str) -> Value {
    jwk["kid"] = json!(kid);
    jwk
}

/// The keys of PyJWT's tokens.
pub(crate) fn all() -> Vec<Value> {
    let keys = [(rsa(), "rsa"), (p256(), "p256"), (p384(), "p384"), (ed25519(), "ed")];
    keys.into_iter().map(|(jwk, kid)| named(jwk, kid)).collect()
}
