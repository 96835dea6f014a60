//! A login with a password.

use russh::{
    MethodKind,
    client::{AuthResult, KeyboardInteractiveAuthResponse},
};
use tokio::time::timeout;

use super::Connection;
use crate::remote::{
    Answer,
    answer::{Progress, interpret},
};

impl Connection {
    /// Offers a password by the method that the account has for it.
    pub(super) async fn offer_password(&mut self, username: &str, password: &str) -> (Answer, Vec<MethodKind>) {
        let interactive_only = self.methods.as_ref().is_some_and(|methods| {
            !methods.contains(&MethodKind::Password) && methods.contains(&MethodKind::KeyboardInteractive)
        });
        if !interactive_only {
            let result = timeout(self.timeouts.stage, self.handle.authenticate_password(username, password)).await.ok();
            let (answer, methods) = interpret(result, Progress::Offered, self.ending());
            let interactive = methods.contains(&MethodKind::KeyboardInteractive);
            if answer != Answer::Refused || !interactive || methods.contains(&MethodKind::Password) {
                return (answer, methods);
            }
        }
        let limit = self.timeouts.stage;
        let result = timeout(limit, self.answer_prompts(username, password)).await.ok();
        interpret(result, Progress::Offered, self.ending())
    }

    /// Keyboard-interactive (RFC 4256): the password answers the one hidden prompt; anything else is not for us.
    async fn answer_prompts(&mut self, username: &str, password: &str) -> Result<AuthResult, russh::Error> {
        let mut answered = false;
        let mut response = self.handle.authenticate_keyboard_interactive_start(username, None::<String>).await?;
        loop {
            response = match response {
                KeyboardInteractiveAuthResponse::Success => return Ok(AuthResult::Success),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                    return Ok(AuthResult::Failure { remaining_methods, partial_success });
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                    let mut responses = Vec::new();
                    for prompt in &prompts {
                        if prompt.echo || answered {
                            // A second question is a second factor; an empty answer lets the server say no.
                            responses.push(String::new());
                        } else {
                            answered = true;
                            responses.push(password.to_owned());
                        }
                    }
                    self.handle.authenticate_keyboard_interactive_respond(responses).await?
                }
            };
        }
    }
}
