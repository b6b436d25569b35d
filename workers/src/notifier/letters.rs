//! What each letter says, in each language. How it looks stands in `workers/templates/`.

use askama::Template;
use commands::Place;
use domain::order::Line;
use domain::user::AuthenticatorKind;
use domain::{Language, Money, OrderId};

/// A letter, as text and as HTML.
pub(super) struct Letter {
    pub(super) language: Language,
    pub(super) subject: String,
    pub(super) greeting: String,
    pub(super) paragraphs: Vec<String>,
    /// Titles and prices.
    pub(super) lines: Vec<(String, String)>,
    pub(super) total: Option<(String, String)>,
    /// What to do next, and where.
    pub(super) link: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    greeting: &'a str,
    paragraphs: &'a [String],
    lines: &'a [(String, String)],
    total: &'a Option<(String, String)>,
    link: &'a Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    language: Language,
    subject: &'a str,
    greeting: &'a str,
    paragraphs: &'a [String],
    lines: &'a [(String, String)],
    total: &'a Option<(String, String)>,
    link: &'a Option<(String, String)>,
}

impl Letter {
    pub(super) fn text(&self) -> Result<String, askama::Error> {
        let Self { greeting, paragraphs, lines, total, link, .. } = self;
        Text { greeting, paragraphs, lines, total, link }.render()
    }

    pub(super) fn html(&self) -> Result<String, askama::Error> {
        let Self { language, subject, greeting, paragraphs, lines, total, link } = self;
        Html { language: *language, subject, greeting, paragraphs, lines, total, link }.render()
    }
}

/// Whom a letter is for, in which language, and where the store is.
pub(super) struct Reader<'a> {
    pub(super) language: Language,
    pub(super) name: &'a str,
    pub(super) store: &'a str,
}

impl Reader<'_> {
    /// One of two texts.
    fn say(&self, english: &str, portuguese: &str) -> String {
        match self.language {
            Language::English => english.to_owned(),
            Language::Portuguese => portuguese.to_owned(),
        }
    }

    fn letter(&self, subject: String, paragraphs: Vec<String>, link: (String, String)) -> Letter {
        let greeting = format!("{} {},", self.say("Hello", "Olá"), self.name);
        let (language, lines, total) = (self.language, Vec::new(), None);
        Letter { language, subject, greeting, paragraphs, lines, total, link: Some(link) }
    }

    fn order_link(&self, english: &str, portuguese: &str, order: OrderId) -> (String, String) {
        (self.say(english, portuguese), format!("{}/#/order/{order}", self.store))
    }

    pub(super) fn welcome(&self, link: &str) -> Letter {
        self.letter(
            self.say("Welcome to Ludoteca", "Boas-vindas à Ludoteca"),
            vec![
                self.say(
                    "your account has been created. Confirm your address, find a game, pay by card or Pix, and play it from your library.",
                    "sua conta foi criada. Confirme seu endereço, encontre um jogo, pague com cartão ou Pix e jogue a partir da sua biblioteca.",
                ),
                self.a_stranger_asked(),
            ],
            self.confirmation(link),
        )
    }

    pub(super) fn confirm_address(&self, link: &str) -> Letter {
        self.letter(
            self.say("Confirm your e-mail address", "Confirme seu endereço de e-mail"),
            vec![
                self.say(
                    "someone used this address for a Ludoteca account. The link below is good for a day.",
                    "alguém informou este endereço como o da sua conta. O link abaixo vale por um dia.",
                ),
                self.a_stranger_asked(),
            ],
            self.confirmation(link),
        )
    }

    fn a_stranger_asked(&self) -> String {
        self.say(
            "If that was not you, do nothing: without you the address is not confirmed.",
            "Se não foi você, não faça nada: sem você o endereço não é confirmado.",
        )
    }

    fn confirmation(&self, link: &str) -> (String, String) {
        (self.say("Confirm the address", "Confirmar o endereço"), format!("{}/#/confirm?token={link}", self.store))
    }

    pub(super) fn registered_already(&self) -> Letter {
        self.letter(
            self.say("You have an account already", "Você já tem uma conta"),
            vec![
                self.say(
                    "somebody, perhaps you, tried to open an account with this address. It has one already, and nothing was changed.",
                    "alguém, talvez você, tentou criar uma conta com este endereço. Ele já tem uma, e nada foi alterado.",
                ),
                self.say(
                    "If you have forgotten your password, or did not open that account, choose another password.",
                    "Se você esqueceu a senha, ou não criou essa conta, escolha outra senha.",
                ),
            ],
            (self.say("Choose another password", "Escolher outra senha"), format!("{}/#/forgotten", self.store)),
        )
    }

    pub(super) fn address_changed(&self) -> Letter {
        self.letter(
            self.say("Your e-mail address was changed", "Seu endereço de e-mail foi alterado"),
            vec![
                self.say(
                    "your account has another e-mail address from now on; mail no longer comes here.",
                    "a partir de agora sua conta tem outro endereço de e-mail; este não recebe mais mensagens.",
                ),
                self.say(
                    "If that was not you, tell the store at once.",
                    "Se não foi você, avise a loja imediatamente.",
                ),
            ],
            (self.say("Go to the shop", "Ir para a loja"), format!("{}/", self.store)),
        )
    }

    pub(super) fn address_asked_for(&self) -> Letter {
        self.letter(
            self.say("Another e-mail address for your account", "Outro endereço de e-mail para a sua conta"),
            vec![
                self.say(
                    "someone asked for another e-mail address for your account. It takes effect once a link that we have mailed there is followed.",
                    "alguém pediu outro endereço de e-mail para a sua conta. Ele passa a valer quando o link enviado para lá for aberto.",
                ),
                self.say(
                    "If that was not you, choose another password now: that stops the change and ends all sessions.",
                    "Se não foi você, escolha outra senha agora: isso cancela a mudança e encerra todas as sessões.",
                ),
            ],
            (self.say("Choose another password", "Escolher outra senha"), format!("{}/#/forgotten", self.store)),
        )
    }

    pub(super) fn password_changed(&self) -> Letter {
        self.letter(
            self.say("Your password was changed", "Sua senha foi alterada"),
            vec![
                self.say(
                    "another password opens your account from now on, and all other sessions have ended.",
                    "a partir de agora outra senha abre a sua conta, e todas as outras sessões foram encerradas.",
                ),
                self.say("If that was not you, choose another one now.", "Se não foi você, escolha outra agora mesmo."),
            ],
            (self.say("Choose another password", "Escolher outra senha"), format!("{}/#/forgotten", self.store)),
        )
    }

    pub(super) fn authenticator_added(&self, kind: AuthenticatorKind) -> Letter {
        let (subject, said) = match kind {
            AuthenticatorKind::Passkey => (
                self.say("A passkey was added", "Uma chave de acesso foi adicionada"),
                self.say(
                    "another passkey opens your account from now on, and your password needs a second factor.",
                    "a partir de agora mais uma chave de acesso abre a sua conta, e a sua senha precisa de um segundo fator.",
                ),
            ),
            AuthenticatorKind::Totp => (
                self.say("An authenticator app was added", "Um aplicativo autenticador foi adicionado"),
                self.say(
                    "from now on your password needs a code of your authenticator app.",
                    "a partir de agora a sua senha precisa de um código do seu aplicativo autenticador.",
                ),
            ),
            AuthenticatorKind::RecoveryCodes => (
                self.say("You have new recovery codes", "Você tem novos códigos de recuperação"),
                self.say(
                    "new recovery codes were made for your account; those from before are good no longer.",
                    "novos códigos de recuperação foram criados para a sua conta; os anteriores não valem mais.",
                ),
            ),
        };
        self.letter(subject, vec![said, self.not_you()], self.to_the_account())
    }

    pub(super) fn authenticator_removed(&self) -> Letter {
        self.letter(
            self.say("A way to log in was removed", "Uma forma de entrar foi removida"),
            vec![
                self.say(
                    "a passkey, an authenticator app or recovery codes no longer open your account.",
                    "uma chave de acesso, um aplicativo autenticador ou códigos de recuperação não abrem mais a sua conta.",
                ),
                self.not_you(),
            ],
            self.to_the_account(),
        )
    }

    pub(super) fn recovery_code_used(&self) -> Letter {
        self.letter(
            self.say("A recovery code was used", "Um código de recuperação foi usado"),
            vec![
                self.say(
                    "someone logged in to your account with your password and one of your recovery codes.",
                    "alguém entrou na sua conta com a sua senha e um dos seus códigos de recuperação.",
                ),
                self.not_you(),
            ],
            self.to_the_account(),
        )
    }

    pub(super) fn api_key_made(&self) -> Letter {
        self.letter(
            self.say("A key for a program was made", "Uma chave para um programa foi criada"),
            vec![
                self.say(
                    "someone who had logged in to your account made a key for a program. Your account shows what it is good for, and there you can end it.",
                    "alguém que entrou na sua conta criou uma chave para um programa. A sua conta mostra para que ela serve, e ali você pode encerrá-la.",
                ),
                self.not_you(),
            ],
            self.to_the_account(),
        )
    }

    pub(super) fn logged_in_on_new_device(&self, place: Option<&Place>) -> Letter {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let device = place.and_then(|place| known(&place.device));
        let device = device.unwrap_or_else(|| self.say("a device without a name", "um aparelho sem nome"));
        let from = match place.and_then(|place| known(&place.network)) {
            Some(network) => format!("{} {network}", self.say("in the network", "na rede")),
            None => self.say("in an unknown network", "em uma rede desconhecida"),
        };
        self.letter(
            self.say("A login from a new device", "Um acesso de um novo aparelho"),
            vec![
                format!(
                    "{}: {device}, {from}.",
                    self.say(
                        "someone logged in to your account from a device that has not done so before",
                        "alguém entrou na sua conta de um aparelho que ainda não tinha entrado nela"
                    ),
                ),
                self.not_you(),
            ],
            self.to_the_account(),
        )
    }

    fn not_you(&self) -> String {
        self.say(
            "If that was not you: choose another password, and take away what is not yours in your account, keys for programs as well. If you cannot get in, write to the store.",
            "Se não foi você: escolha outra senha e remova na sua conta o que não for seu, também as chaves para programas. Se não conseguir entrar, escreva para a loja.",
        )
    }

    fn to_the_account(&self) -> (String, String) {
        (self.say("See your account", "Ver a sua conta"), format!("{}/#/account", self.store))
    }

    pub(super) fn password_forgotten(&self, link: &str) -> Letter {
        self.letter(
            self.say("Choose another password", "Escolha outra senha"),
            vec![
                self.say(
                    "somebody asked for another password for your account. The link below is good once, for half an hour.",
                    "alguém pediu outra senha para a sua conta. O link abaixo vale uma única vez, por meia hora.",
                ),
                self.say(
                    "If that was not you, do nothing: your password stays as it is.",
                    "Se não foi você, não faça nada: sua senha continua a mesma.",
                ),
            ],
            (self.say("Choose another password", "Escolher outra senha"), format!("{}/#/reset?token={link}", self.store)),
        )
    }

    pub(super) fn receipt(&self, order: OrderId, lines: &[Line], total: Money) -> Letter {
        let mut letter = self.letter(
            self.say("Your games are in your library", "Seus jogos estão na sua biblioteca"),
            vec![format!(
                "{} {order}.",
                self.say("this is the receipt of your order", "este é o recibo do seu pedido")
            )],
            self.order_link("See the order", "Ver o pedido", order),
        );
        let priced = |line: &Line| (line.title.as_str().to_owned(), amount(self.language, line.price.money()));
        letter.lines = lines.iter().map(priced).collect();
        letter.total = Some(("Total".to_owned(), amount(self.language, total)));
        letter
    }

    pub(super) fn payment_failed(&self, order: OrderId, reason: &str) -> Letter {
        self.letter(
            self.say("Your payment did not go through", "Seu pagamento não foi concluído"),
            vec![
                format!(
                    "{} {order} {}: {reason}",
                    self.say("the payment of your order", "o pagamento do seu pedido"),
                    self.say("failed", "falhou")
                ),
                self.say(
                    "Nothing was charged, and you can pay again while the order is open.",
                    "Nada foi cobrado, e você pode pagar de novo enquanto o pedido estiver aberto.",
                ),
            ],
            self.order_link("Pay again", "Pagar de novo", order),
        )
    }

    pub(super) fn refund(&self, order: OrderId, refunded: Money) -> Letter {
        let mut letter = self.letter(
            self.say("Your money is on its way back", "Seu dinheiro está a caminho"),
            vec![format!(
                "{} {order}. {}",
                self.say(
                    "we have paid back what you see below for your order",
                    "devolvemos o valor abaixo do seu pedido"
                ),
                self.say(
                    "It takes a few days until it shows on your statement.",
                    "Pode levar alguns dias até aparecer na sua fatura.",
                )
            )],
            self.order_link("See the order", "Ver o pedido", order),
        );
        let label = self.say("Refund", "Reembolso");
        letter.lines = vec![(label.clone(), amount(self.language, refunded))];
        letter.total = Some((label, amount(self.language, refunded)));
        letter
    }
}

/// `5990` in BRL → `R$59.90`, or `R$ 59,90` in Portuguese.
fn amount(language: Language, money: Money) -> String {
    let written = money.to_string();
    let (digits, currency) = written.split_once(' ').unwrap_or((&written, ""));
    let symbol = if currency == "BRL" { "R$" } else { currency };
    match language {
        Language::English => format!("{symbol}{digits}"),
        Language::Portuguese => format!("{symbol} {}", digits.replace('.', ",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: Reader<'_> = Reader { language: Language::English, name: "Ana <b>", store: "https://store.example" };

    #[test]
    fn a_letter_is_escaped_in_html_and_plain_in_text() {
        let letter = ANA.payment_failed(OrderId::from_uuid(uuid::Uuid::nil()), "Your card was declined & kept");
        assert!(letter.text().unwrap().contains("Hello Ana <b>,"));
        let html = letter.html().unwrap();
        assert!(html.contains("Ana &#60;b&#62;") && html.contains("declined &#38; kept"), "{html}");
        assert!(html.contains("https://store.example/#/order/00000000"));
    }

    #[test]
    fn amounts_are_written_as_the_reader_writes_them() {
        for (minor, currency, english, portuguese) in [
            (5_905, "BRL", "R$59.05", "R$ 59,05"),
            (1_500, "JPY", "JPY1500", "JPY 1500"),
            (1_500, "KWD", "KWD1.500", "KWD 1,500"),
        ] {
            let money = Money { amount: minor, currency: domain::Currency::parse(currency).unwrap() };
            assert_eq!(amount(Language::English, money), english);
            assert_eq!(amount(Language::Portuguese, money), portuguese);
        }
    }
}
