// What the page says, in English and Chinese.

import { DETAILS } from "./details.js";

const WORDS = {
  en: {
    title: "OCR",
    skip: "Skip to the content",
    home: "Documents",
    operations: "Operations",
    language: "中文",
    languageName: "切换到中文",
    theme: "Colours: {0}",
    "theme.auto": "as the system",
    "theme.light": "light",
    "theme.dark": "dark",
    account: "Token",
    forget: "Forget the token",
    forgotten: "The token is forgotten.",
    tokenTitle: "Welcome",
    tokenWhy: "This server reads documents for people who hold a token. Ask its operator for one.",
    tokenLabel: "Token",
    tokenGo: "Continue",
    tokenKept: "It is kept in this browser until you have it forgotten.",
    tokenWrong: "The server does not know this token, or it has expired. Check it and try again.",
    tokenNeeded: "Enter a token.",
    unreachable: "The server cannot be reached. Check the connection and try again.",
    drop: "Drop documents here",
    dropNow: "Let go to send",
    dropHint: "or paste them – PDF, Word, Excel, PowerPoint, pictures",
    choose: "Choose files",
    byUrl: "From a web address",
    urlLabel: "Address of the document",
    urlGo: "Fetch",
    urlWrong: "Enter an address that begins with http:// or https://",
    options: "Options",
    languages: "Languages of the text",
    languagesAdd: "Add a language",
    languagesNone: "No such language",
    languagesMost: "At most {0} languages at once",
    languagesPreset: "Chinese + English",
    languageRemove: "Remove {0}",
    format: "Result",
    "format.txt": "Text",
    "format.pdf": "PDF",
    "format.docx": "Word",
    "format.xlsx": "Excel",
    "format.pptx": "PowerPoint",
    "format.json": "JSON",
    "format.hocr": "hOCR",
    "format.alto": "ALTO",
    "long.txt": "Plain text",
    "long.pdf": "Searchable PDF",
    "long.docx": "Word document",
    "long.xlsx": "Excel workbook",
    "long.pptx": "PowerPoint slides",
    "long.json": "Pages with words and places",
    "long.hocr": "hOCR for other programs",
    "long.alto": "ALTO for libraries",
    password: "Password",
    passwordHint: "If it is protected",
    documents: "Documents",
    empty: "Nothing here yet. What you send appears in this list.",
    more: "Show older ones",
    select: "Select {0}",
    selectAll: "Select all",
    selected: "{0} selected",
    remove: "Delete",
    removeAsk: "Delete {0}? Document and results are removed from the server.",
    removeMany: "{0} documents",
    removed: "Deleted.",
    cancel: "Cancel",
    stop: "Stop and delete",
    open: "Open",
    untitled: "Document",
    pages: "{0} pages",
    page1: "1 page",
    uploading: "Sending – {0} %",
    sent: "Sent, waiting for the answer",
    busy: "The server is busy; trying again in {0} s",
    lost: "No connection; trying again",
    queued: "Waiting",
    position: "Waiting – {0} before it",
    position0: "Waiting – next in line",
    preparing: "Preparing",
    fetching: "Fetching the document",
    reading: "Reading",
    readingPages: "Page {0} of {1}",
    complete: "Ready",
    expired: "Ready; the result is no longer kept",
    failed: "Failed",
    cancelled: "Stopped",
    finished: "{0} is ready.",
    wentWrong: "{0} could not be read.",
    again: "Try again",
    againPassword: "Password of the document",
    againFile: "Enter the password above and choose the file again.",
    back: "All documents",
    previous: "Previous page",
    next: "Next page",
    pageNumber: "Page",
    of: "of {0}",
    zoomIn: "Larger",
    zoomOut: "Smaller",
    zoomFit: "Fit the width",
    mark: "Uncertain words",
    download: "Download",
    downloadAs: "Download in another format",
    downloadMore: "For programs",
    making: "Making {0}…",
    made: "{0} is ready.",
    "view.page": "Page",
    "view.text": "Text",
    "view.tables": "Tables",
    viewLabel: "What is shown",
    picture: "Page {0} of {1}",
    words: "Words on the page; arrow keys go from word to word",
    confidence: "{0} % sure",
    noText: "There is no text on this page.",
    noTables: "There are no tables on this page.",
    table: "Table {0}",
    tableSize: "{0} rows, {1} columns",
    copy: "Copy",
    copyText: "Copy the text",
    copyTable: "Copy for a spreadsheet",
    copied: "Copied.",
    image: "Picture",
    loading: "Loading…",
    gone: "There is no such document. It may have been deleted.",
    sourceExpired:
      "The document itself is no longer kept on the server. The result can still be downloaded.",
    pageFailed: "This page cannot be shown: {0}",
    unread: "This page was not recognized: its own text was used.",
    shortened: "This page is very long: only its beginning is shown. The downloads have all of it.",
    waiting: "Waiting",
    working: "In work",
    downloading: "Being fetched",
    oldest: "Oldest waits",
    perSecond: "Pages a second",
    perMinute: "Pages, last minute",
    perHour: "Pages, last hour",
    doneHour: "Done, last hour",
    failedHour: "Failed, last hour",
    disk: "Free disk",
    workers: "Workers",
    worker: "Worker",
    process: "Process",
    busyWith: "Task",
    since: "Since",
    memory: "Memory",
    idle: "Idle",
    warming: "Warming up",
    failures: "Last failures",
    noFailures: "Nothing has failed.",
    when: "When",
    why: "Why",
    version: "Version {0}",
    history: "Pages a second, while this view is open",
    somethingWrong: "Something went wrong: {0}",
    refused: "The server refused: {0}",
    quota: "The pages of this token are used up.",
    tooLarge: "The document is too large for this server.",
    seconds: "{0} s",
    minutes: "{0} min",
    hours: "{0} h",
  },
  zh: {
    title: "文字识别",
    skip: "跳到正文",
    home: "文档",
    operations: "运行状况",
    language: "EN",
    languageName: "Switch to English",
    theme: "颜色：{0}",
    "theme.auto": "跟随系统",
    "theme.light": "浅色",
    "theme.dark": "深色",
    account: "令牌",
    forget: "忘记令牌",
    forgotten: "令牌已忘记。",
    tokenTitle: "欢迎",
    tokenWhy: "持有令牌即可使用本服务器识别文档。令牌请向管理员索取。",
    tokenLabel: "令牌",
    tokenGo: "继续",
    tokenKept: "令牌保存在此浏览器中，可随时忘记。",
    tokenWrong: "服务器不认识此令牌，或令牌已过期。请检查后重试。",
    tokenNeeded: "请输入令牌。",
    unreachable: "无法连接服务器。请检查网络后重试。",
    drop: "把文档拖到这里",
    dropNow: "松开即可上传",
    dropHint: "也可以直接粘贴——PDF、Word、Excel、PowerPoint、图片",
    choose: "选择文件",
    byUrl: "从网址获取",
    urlLabel: "文档的网址",
    urlGo: "获取",
    urlWrong: "请输入以 http:// 或 https:// 开头的网址",
    options: "选项",
    languages: "文字的语言",
    languagesAdd: "添加语言",
    languagesNone: "没有这种语言",
    languagesMost: "最多同时选择 {0} 种语言",
    languagesPreset: "中文 + 英文",
    languageRemove: "移除{0}",
    format: "结果",
    "format.txt": "文本",
    "format.pdf": "PDF",
    "format.docx": "Word",
    "format.xlsx": "Excel",
    "format.pptx": "PPT",
    "format.json": "JSON",
    "format.hocr": "hOCR",
    "format.alto": "ALTO",
    "long.txt": "纯文本",
    "long.pdf": "可搜索的 PDF",
    "long.docx": "Word 文档",
    "long.xlsx": "Excel 工作簿",
    "long.pptx": "PowerPoint 幻灯片",
    "long.json": "含文字及位置的页面数据",
    "long.hocr": "hOCR，供其他程序使用",
    "long.alto": "ALTO，供图书馆使用",
    password: "密码",
    passwordHint: "受保护的文档才需要",
    documents: "文档",
    empty: "这里还没有文档。上传的文档会显示在此列表中。",
    more: "显示更早的",
    select: "选择 {0}",
    selectAll: "全选",
    selected: "已选 {0} 个",
    remove: "删除",
    removeAsk: "删除{0}？文档和结果都会从服务器上移除。",
    removeMany: " {0} 个文档",
    removed: "已删除。",
    cancel: "取消",
    stop: "停止并删除",
    open: "打开",
    untitled: "文档",
    pages: "{0} 页",
    page1: "1 页",
    uploading: "正在上传 {0}%",
    sent: "已上传，等待答复",
    busy: "服务器繁忙，{0} 秒后重试",
    lost: "连接中断，正在重试",
    queued: "排队中",
    position: "排队中，前面还有 {0} 个",
    position0: "排队中，下一个就是它",
    preparing: "准备中",
    fetching: "正在获取文档",
    reading: "识别中",
    readingPages: "第 {0} 页，共 {1} 页",
    complete: "已完成",
    expired: "已完成，结果已过保留期",
    failed: "失败",
    cancelled: "已停止",
    finished: "{0} 已完成。",
    wentWrong: "{0} 无法识别。",
    again: "重试",
    againPassword: "文档的密码",
    againFile: "请在上方输入密码，然后重新选择文件。",
    back: "所有文档",
    previous: "上一页",
    next: "下一页",
    pageNumber: "页码",
    of: "共 {0} 页",
    zoomIn: "放大",
    zoomOut: "缩小",
    zoomFit: "适合宽度",
    mark: "不确定的词",
    download: "下载",
    downloadAs: "下载其他格式",
    downloadMore: "供程序使用",
    making: "正在生成 {0}…",
    made: "{0} 已生成。",
    "view.page": "页面",
    "view.text": "文字",
    "view.tables": "表格",
    viewLabel: "显示内容",
    picture: "第 {0} 页，共 {1} 页",
    words: "页面上的词，用方向键逐词移动",
    confidence: "把握 {0}%",
    noText: "这一页没有文字。",
    noTables: "这一页没有表格。",
    table: "表格 {0}",
    tableSize: "{0} 行 {1} 列",
    copy: "复制",
    copyText: "复制文字",
    copyTable: "复制到电子表格",
    copied: "已复制。",
    image: "图片",
    loading: "正在载入…",
    gone: "没有这个文档，可能已被删除。",
    sourceExpired: "服务器已不再保留文档本身，但结果仍可下载。",
    pageFailed: "无法显示这一页：{0}",
    unread: "这一页未经识别，直接使用了文档自带的文字。",
    shortened: "这一页很长，这里只显示开头部分，下载的文件包含全部内容。",
    waiting: "排队",
    working: "处理中",
    downloading: "获取中",
    oldest: "最久等待",
    perSecond: "每秒页数",
    perMinute: "最近一分钟页数",
    perHour: "最近一小时页数",
    doneHour: "一小时内完成",
    failedHour: "一小时内失败",
    disk: "磁盘可用",
    workers: "工作进程",
    worker: "名称",
    process: "进程号",
    busyWith: "任务",
    since: "已用时",
    memory: "内存",
    idle: "空闲",
    warming: "预热中",
    failures: "最近的失败",
    noFailures: "没有失败。",
    when: "时间",
    why: "原因",
    version: "版本 {0}",
    history: "每秒页数（打开此页以来）",
    somethingWrong: "出错了：{0}",
    refused: "服务器拒绝了请求：{0}",
    quota: "此令牌的页数已用完。",
    tooLarge: "文档超过了本服务器允许的大小。",
    seconds: "{0} 秒",
    minutes: "{0} 分钟",
    hours: "{0} 小时",
  },
};

export const isChinese = () => document.documentElement.lang.startsWith("zh");

/** What `key` says in the page's language, with `{0}`, `{1}` … filled in. */
export function t(key, ...values) {
  const text = WORDS[isChinese() ? "zh" : "en"][key];
  return text.replace(/\{(\d)\}/g, (_, n) => values[n]);
}

/** Put words in place of all `data-t` (text), `data-t-label`, `data-t-hint` below `root`. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]"))
    element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
    if (element.matches("button")) element.title = t(element.dataset.tLabel);
  }
  for (const element of root.querySelectorAll("[data-t-hint]"))
    element.placeholder = t(element.dataset.tHint);
}

/** What the server says to programs, for people. */
const PLAIN = {
  "The document is protected: send its password in the field password.":
    "The document is protected: enter its password.",
  "The password is wrong: send the document's password in the field password.":
    "The password is wrong: enter it again.",
};

/** A sentence of the server in the page's language, where it is known. */
export function detail(text) {
  if (!isChinese()) return PLAIN[text] ?? text;
  for (const [pattern, chinese] of DETAILS) {
    const found = pattern.exec(text);
    if (found) return chinese.replace(/\{(\d)\}/g, (_, n) => found[n]);
  }
  return text;
}

/** What an error of the server means for people. */
export function reason(error) {
  if (error.status === 0) return t("unreachable");
  if (error.code === "insufficient_user_quota") return t("quota");
  if (error.status === 413 && !error.message) return t("tooLarge");
  return detail(error.message) || t("somethingWrong", error.status ?? error);
}

export const pages = (n) => (n === 1 ? t("page1") : t("pages", n));
export const percent = (share) => Math.round(share * 100);

export function bytes(n) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = n > 0 ? Math.min(Math.floor(Math.log10(n) / 3), units.length - 1) : 0;
  const value = n / 1000 ** power;
  return `${value.toFixed(value < 10 && power ? 1 : 0)} ${units[power]}`;
}

export function duration(s) {
  if (s < 90) return t("seconds", s < 10 ? s.toFixed(1) : Math.round(s));
  return s < 5400 ? t("minutes", Math.round(s / 60)) : t("hours", Math.round(s / 3600));
}

/** A moment (Unix seconds): the time today, the day before that. */
export function moment(seconds) {
  const date = new Date(seconds * 1000);
  const now = new Date();
  const options =
    date.toDateString() === now.toDateString()
      ? { hour: "2-digit", minute: "2-digit" }
      : {
          month: "short",
          day: "numeric",
          ...(date.getFullYear() === now.getFullYear()
            ? { hour: "2-digit", minute: "2-digit" }
            : { year: "numeric" }),
        };
  return new Intl.DateTimeFormat(document.documentElement.lang, {
    ...options,
    hourCycle: "h23",
  }).format(date);
}
