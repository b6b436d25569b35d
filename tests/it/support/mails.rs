use super::{TestApp, eventually};

/// Every mail that was sent so far, as text.
pub fn all_mails(app: &TestApp) -> Vec<String> {
    let files = std::fs::read_dir(&app.mail.mail_folder).into_iter().flatten().filter_map(Result::ok);
    let emls = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "eml"));
    // Long lines are folded in transfer.
    emls.map(|file| std::fs::read_to_string(file.path()).unwrap().replace("=\r\n", "").replace("=3D", "=")).collect()
}

/// Those of a subject.
pub fn mails_about(app: &TestApp, subject: &str) -> Vec<String> {
    all_mails(app).into_iter().filter(|mail| mail.contains(&format!("Subject: {subject}"))).collect()
}

/// What a mail's link to a page of the shop carries, if there is one.
pub fn token_in(mail: &str, page: &str) -> Option<String> {
    let (_, link) = mail.split_once(&format!("/#/{page}?token="))?;
    Some(link.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect())
}

/// What the links to a page of the shop carry that were mailed so far.
pub fn mailed_tokens(app: &TestApp, page: &str) -> Vec<String> {
    all_mails(app).iter().filter_map(|mail| token_in(mail, page)).collect()
}

/// What a link carries that is mailed after so many others.
pub async fn mailed_token(app: &TestApp, page: &str, before: &[String]) -> String {
    let new = || mailed_tokens(app, page).into_iter().find(|token| !before.contains(token));
    eventually("the link is mailed", || async { new().is_some() }).await;
    new().unwrap()
}
