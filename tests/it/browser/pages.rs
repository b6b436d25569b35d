//! Every page of the storefront: its name, and where it is.

type Pages = Vec<(&'static str, String)>;

pub fn visitor(game: &str) -> Pages {
    vec![
        ("home", "#/".to_owned()),
        ("search", "#/search?q=lantren".to_owned()),
        ("search-nothing", "#/search?q=xyzzyxyzzy".to_owned()),
        ("game", format!("#/game/{game}")),
        ("register", "#/register".to_owned()),
        ("login", "#/login".to_owned()),
        ("forgotten", "#/forgotten".to_owned()),
        ("reset", "#/reset?token=made-up".to_owned()),
        ("confirm", "#/confirm?token=made-up".to_owned()),
        ("basket-empty", "#/basket".to_owned()),
        ("missing", "#/nowhere".to_owned()),
    ]
}

pub fn customer(completed: &str, declined: &str) -> Pages {
    vec![
        ("basket", "#/basket".to_owned()),
        ("order-completed", format!("#/order/{completed}")),
        ("order-declined", format!("#/order/{declined}")),
        ("orders", "#/orders".to_owned()),
        ("library", "#/library".to_owned()),
        ("account", "#/account".to_owned()),
    ]
}

pub fn admin(game: &str) -> Pages {
    vec![
        ("admin-catalogue", "#/admin".to_owned()),
        ("admin-game", format!("#/admin/game/{game}")),
        ("admin-orders", "#/admin/orders".to_owned()),
        ("admin-dead-letters", "#/admin/dlq".to_owned()),
        ("admin-people", "#/admin/people".to_owned()),
        ("admin-events", "#/admin/events".to_owned()),
        ("admin-health", "#/admin/health".to_owned()),
    ]
}
