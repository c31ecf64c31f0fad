/** @import { Session } from './session.js' */
import { Refused } from './api.js'
import { byId, say } from './dom.js'
import { wordsOf } from './messages.js'
import { notify } from './notices.js'

const PASSWORD_CHARS_MIN = 8

/** Registration, login, logout. */
export class Account {
  #session
  #isNew = false
  #dialog = /** @type {HTMLDialogElement} */ (byId('login-dialog'))
  #email = /** @type {HTMLInputElement} */ (byId('email'))
  #password = /** @type {HTMLInputElement} */ (byId('password'))
  #button = /** @type {HTMLButtonElement} */ (byId('login-submit'))

  /** @param {Session} session */
  constructor(session) {
    this.#session = session
    byId('login-button').addEventListener('click', () => this.ask('login'))
    byId('register-button').addEventListener('click', () => this.ask('register'))
    byId('login-swap').addEventListener('click', () => this.#become(!this.#isNew))
    byId('login-form').addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#submit()
    })
    this.#dialog.addEventListener('close', () => {
      this.#password.value = ''
    })
    const accountDialog = /** @type {HTMLDialogElement} */ (byId('account-dialog'))
    byId('account-button').addEventListener('click', () => accountDialog.showModal())
    byId('logout-button').addEventListener('click', () => {
      accountDialog.close()
      void session.logout()
    })
    let wasIn = false
    session.addEventListener('change', () => {
      const isIn = session.member !== undefined
      if (wasIn && !isIn) notify('You are logged out.')
      wasIn = isIn
      this.draw()
    })
  }

  /** @param {'login' | 'register'} what */
  ask(what) {
    this.#become(what === 'register')
    this.#dialog.showModal()
    this.#email.focus()
  }

  draw() {
    const { member } = this.#session
    byId('login-button').hidden = member !== undefined
    byId('register-button').hidden = member !== undefined
    byId('account-button').hidden = member === undefined
    say(byId('account-name'), member?.email ?? '')
    say(byId('account-email'), member?.email ?? '')
    say(byId('account-id'), member?.memberId ?? '')
  }

  /** @param {boolean} isNew */
  #become(isNew) {
    this.#isNew = isNew
    say(byId('login-title'), isNew ? 'Open an account' : 'Log in')
    say(byId('login-swap-text'), isNew ? 'Have an account?' : 'New here?')
    say(byId('login-swap'), isNew ? 'Log in' : 'Open an account')
    say(byId('login-fault'), '')
    byId('password-hint').hidden = !isNew
    this.#password.autocomplete = isNew ? 'new-password' : 'current-password'
    this.#say()
  }

  #say() {
    const words = this.#isNew ? 'Open the account' : 'Log in'
    say(this.#button, this.#button.disabled ? 'One moment…' : words)
  }

  async #submit() {
    const [email, password] = [this.#email.value.trim(), this.#password.value]
    const fault =
      email === '' || !this.#email.validity.valid
        ? 'Enter your e-mail address.'
        : password === ''
          ? 'Enter your password.'
          : this.#isNew && password.length < PASSWORD_CHARS_MIN
            ? wordsOf({ code: 'password_too_short', message: '' })
            : ''
    say(byId('login-fault'), fault)
    if (fault !== '') {
      const field = fault.includes('mail') ? this.#email : this.#password
      field.focus()
      return
    }
    this.#button.disabled = true
    this.#say()
    try {
      if (this.#isNew) await this.#session.register(email, password)
      else await this.#session.login(email, password)
      this.#dialog.close()
      notify(this.#isNew ? 'Welcome. Your account is open.' : 'You are logged in.', 'good')
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      say(byId('login-fault'), wordsOf(error))
    } finally {
      this.#button.disabled = false
      this.#say()
    }
  }
}
